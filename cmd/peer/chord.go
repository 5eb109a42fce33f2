package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/p2p-today/go2p/cmd/peer/control"
)

func (c *cli) chordCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "chord",
		Short: "The table that is spread over the peers that store",
		Long: `Each key has five homes among the peers that store, at most 2^k of them (up --k); a majority of
the homes decides what it is. A peer that does not store (up --leech) reads and writes, too.`,
	}
	group(cmd)
	cmd.AddCommand(c.chordGetCmd(), c.chordSetCmd(), c.chordDelCmd(), c.chordKeysCmd(), c.chordItemsCmd(), c.chordWatchCmd(),
		c.popCmd(control.PathTablePop), c.chordUpdateCmd(), c.chordDeltaCmd(), c.chordRingCmd(), c.chordJoinCmd(), c.chordLeaveCmd(),
		c.chordImportCmd(), c.chordExportCmd())
	return cmd
}

func (c *cli) chordSetCmd() *cobra.Command {
	return c.tableWriteCmd(control.PathTableSet, "set KEY VALUE", "Gives a key a value",
		"set returns when a majority of the key's homes has it.\n"+valueHelp, valueFlags{})
}

func (c *cli) chordDeltaCmd() *cobra.Command {
	return c.tableWriteCmd(control.PathTableDelta, "delta KEY JSON", "Puts the entries of a JSON object into the one that a key has as its value",
		"delta merges one level deep; a key that is not there has an empty object. Of deltas at the same time none is lost.", valueFlags{json: true})
}

// tableWriteCmd is a command that writes a VALUE to a KEY.
func (c *cli) tableWriteCmd(path, use, short, long string, f valueFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		Long:  long,
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			q, err := c.keyValueRequest(args, f)
			if err != nil {
				return err
			}
			return c.tell(cmd.Context(), path, q)
		},
	}
	if !f.json {
		f.add(cmd)
	}
	return cmd
}

func (c *cli) chordDelCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "del KEY",
		Short: "Removes a key",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			q, err := keyRequest(args[0])
			if err != nil {
				return err
			}
			return c.tell(cmd.Context(), control.PathTableDelete, q)
		},
	}
}

// tableText says in a line how the table is.
func tableText(s control.TableStatus) string {
	switch {
	case s.Failed != "":
		return s.Failed
	case s.Refused != "":
		return s.Refused
	case !s.Stores:
		return fmt.Sprintf("k=%d; this peer does not store, and knows of %d that do", s.K, s.Known)
	}
	text := fmt.Sprintf("k=%d, slot %d; %d keys stored here, %.1f %% of %d MiB; %d peers that store are known", s.K, s.Slot, s.Keys,
		100*float64(s.Bytes)/float64(s.MaxBytes), s.MaxBytes>>20, s.Known)
	if s.Filling {
		text += "; getting what is missing"
	}
	return text
}
