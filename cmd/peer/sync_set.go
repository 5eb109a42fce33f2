package main

import (
	"github.com/spf13/cobra"

	"github.com/p2p-today/go2p/cmd/peer/control"
)

func (c *cli) syncSetCmd() *cobra.Command {
	return c.writeCmd(control.PathSet, "set KEY VALUE", "Gives a key a value, and makes it this peer's for the lease", `set returns when the value is on this peer's disk; then it goes to the others.
`+valueHelp, valueFlags{})
}

func (c *cli) syncDeltaCmd() *cobra.Command {
	return c.writeCmd(control.PathDelta, "delta KEY JSON", "Puts the entries of a JSON object into the one that a key has as its value",
		`delta merges one level deep; a key that is not there has an empty object.`, valueFlags{json: true})
}

// writeCmd is a command that writes a VALUE to a KEY.
func (c *cli) writeCmd(path, use, short, long string, f valueFlags) *cobra.Command {
	var acks int
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
			q.Acks = acks
			var l control.Lease
			if err := c.client().Call(cmd.Context(), path, q, &l); err != nil {
				return err
			}
			return c.print(l, "")
		},
	}
	if !f.json {
		f.add(cmd)
	}
	ackFlag(cmd, &acks)
	return cmd
}
