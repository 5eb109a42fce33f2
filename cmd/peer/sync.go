package main

import (
	"context"
	"encoding/json"

	"github.com/spf13/cobra"

	"github.com/p2p-today/go2p/cmd/peer/control"
)

func syncCmd(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sync",
		Short: "The dictionary that every peer of the network holds whole",
		Long: `Reads are local. A key belongs to its writer for the lease (up --lease), and each write of
its owner renews that; others are refused meanwhile, with exit code 6.`,
	}
	group(cmd)
	cmd.AddCommand(kvCommands(c, syncSpec())...)
	cmd.AddCommand(syncLeaseCmd(c), syncStatusCmd(c))
	return cmd
}

func syncSpec() kvSpec {
	return kvSpec{
		store:   control.Sync,
		acks:    true,
		resumes: true,
		detail: kvDetail{
			flag:  "meta",
			usage: "tell owner, term, the end of the lease, and whether it is signed",
			print: printOwner,
		},
		count:       syncKeys,
		importChunk: 1000,
		importRest:  "the next %d are not",
		help: map[string]kvHelp{
			"get": {
				short: "Prints the value of a key",
				long: `get prints text and bytes as they are, everything else as JSON, and a newline. With --meta it
tells whose the key is, too.`,
			},
			"set": {
				short: "Gives a key a value, and makes it this peer's for the lease",
				long: `set returns when the value is on this peer's disk; then it goes to the others.
` + valueHelp,
			},
			"delta": {
				short: "Puts the entries of a JSON object into the one that a key has as its value",
				long:  `delta merges one level deep; a key that is not there has an empty object.`,
			},
			"del":  {short: "Removes a key, which is nobody's then"},
			"pop":  {short: "Removes a key and prints the value that it had"},
			"keys": {short: "Lists the keys, in order, one a line"},
			"items": {
				short: "Lists keys with their values, in order",
				long: `items lists the keys that begin with PREFIX, or all. Values are printed as JSON; with --json
each line tells whose the key is, too.`,
			},
			"watch": {
				short: "Prints what there is of the keys that begin with PREFIX, then what changes",
				long: `watch prints a line a change: update KEY VALUE, or delete KEY. It goes on until it has -n of
them, is interrupted, or --timeout is over if one is given. With --json each line has a
"revision"; --from goes on after one of those. If too much has changed since, or this command
did not keep up, a line says reset, and what is there follows anew.`,
			},
			"update": {
				short: "Sets several keys, all or none of them",
				long: `update sets the keys of a file of {"key":…,"value":…} lines (- for standard input) at once, or none ` +
					"if one of them is another's.",
			},
			"import": {
				short: "Sets all keys of an export, as this peer",
				long: `import sets the keys of a file (- for standard input) a thousand at a time. If one of them is
another's, it ends there: those of the thousands before are set, none of that one or later.`,
			},
			"export": {
				short: "Prints all keys and values as JSON Lines, for import",
				long: `export prints {"key":…,"value":…} a line, in the order of the keys; bytes are {"b64":"…"}.
Equal dictionaries give equal exports: owners and terms are not in it.`,
			},
		},
	}
}

// printOwner prints the lease of a key.
func printOwner(c *cli, item json.RawMessage) error {
	var it control.SyncItem
	if err := json.Unmarshal(item, &it); err != nil {
		return err
	}
	signed := "signed by it"
	if !it.Signed {
		signed = "not signed: it came over an old link"
	}
	c.say("%s has it until %s, with term %d, %s", it.Owner, it.Until.Local().Format("2006-01-02 15:04:05"), it.Term, signed)
	return nil
}

// syncKeys returns the number of keys in the dictionary.
func syncKeys(ctx context.Context, c *cli) (int, error) {
	var s control.SyncStatus
	err := c.client().Call(ctx, control.PathSyncStatus, nil, &s)
	return s.Keys, err
}
