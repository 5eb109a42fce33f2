package main

import (
	"github.com/spf13/cobra"

	"github.com/p2p-today/go2p/cmd/peer/control"
)

func (c *cli) syncPopCmd() *cobra.Command {
	return c.popCmd(control.PathPop)
}

// popCmd is a command that removes a key and prints its value.
func (c *cli) popCmd(path string) *cobra.Command {
	return &cobra.Command{
		Use:   "pop KEY",
		Short: "Removes a key and prints the value that it had",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			q, err := keyRequest(args[0])
			if err != nil {
				return err
			}
			var kv control.KeyValue
			if err := c.client().Call(cmd.Context(), path, q, &kv); err != nil {
				return err
			}
			if c.json {
				return c.print(kv, "")
			}
			return c.printValue(kv.Value)
		},
	}
}
