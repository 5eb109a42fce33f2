package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/p2p-today/go2p/cmd/peer/control"
)

func chordCmd(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "chord",
		Short: "The table that is spread over the peers that store",
		Long: `Each key has five homes among the peers that store, at most 2^k of them (up --k); a majority of
the homes decides what it is. A peer that does not store (up --leech) reads and writes, too.`,
	}
	group(cmd)
	cmd.AddCommand(kvCommands(c, chordSpec())...)
	cmd.AddCommand(chordRingCmd(c), chordJoinCmd(c), chordLeaveCmd(c))
	return cmd
}

func chordSpec() kvSpec {
	return kvSpec{
		store:       control.Chord,
		detail:      kvDetail{flag: "trace", usage: "tell of each question on the way", print: printTrace},
		importChunk: 200, // each key is written to its own homes
		importRest:  "of the next %d some are not",
		help: map[string]kvHelp{
			"get": {
				short: "Prints the value of a key",
				long: `get prints text and bytes as they are, everything else as JSON, and a newline. With --trace it
tells on standard error whom it asked, as which of the key's homes, what they said, and how long
that took.`,
			},
			"set": {
				short: "Gives a key a value",
				long:  "set returns when a majority of the key's homes has it.\n" + valueHelp,
			},
			"delta": {
				short: "Puts the entries of a JSON object into the one that a key has as its value",
				long: "delta merges one level deep; a key that is not there has an empty object. " +
					"Of deltas at the same time none is lost.",
			},
			"del":  {short: "Removes a key"},
			"pop":  {short: "Removes a key and prints the value that it had"},
			"keys": {short: "Lists the keys, one a line, in the order in which they come from around the ring"},
			"items": {
				short: "Lists keys with their values, in the order in which they come from around the ring",
				long: `items lists the keys that begin with PREFIX, or all. Values are printed as JSON; with --json
each line tells who wrote it, too.`,
			},
			"watch": {
				short: "Prints what changes of the keys that begin with PREFIX",
				long: `watch prints a line a change: update KEY VALUE, or delete KEY. It goes on until it has -n of
them, is interrupted, or --timeout is over if one is given. If so much changed at once that some
is not told, a line says missed.`,
			},
			"update": {
				short: "Sets several keys",
				long: `update sets the keys of a file of {"key":…,"value":…} lines (- for standard input), one by one: ` +
					"with an error some are set.",
			},
			"import": {
				short: "Sets all keys of an export",
				long: "import sets the keys of a file (- for standard input), many at a time. " +
					"With an error some of the last ones are set and some are not.",
			},
			"export": {
				short: "Prints all keys and values as JSON Lines, for import",
				long: `export prints {"key":…,"value":…} a line, in the order of the keys, which it first takes into
memory; bytes are {"b64":"…"}.`,
			},
		},
	}
}

// printTrace prints the questions that led to a value.
func printTrace(c *cli, item json.RawMessage) error {
	var it control.ChordItem
	if err := json.Unmarshal(item, &it); err != nil {
		return err
	}
	for i, s := range it.Trace {
		fmt.Fprintf(c.err, "%2d  %s at slot %d, as %s: %s (%.2f ms)\n", i+1, s.Peer, s.Slot, s.Role, s.Answer, s.Took)
	}
	fmt.Fprintf(c.err, "version %d, written by %s, read in %.2f ms; its homes:\n", it.Version, it.Writer, it.Took)
	for _, h := range it.Replicas {
		fmt.Fprintf(c.err, "    %s\n", h)
	}
	return nil
}
