package main

import (
	"github.com/spf13/cobra"

	"github.com/p2p-today/go2p/cmd/peer/control"
)

func askCmd(c *cli) *cobra.Command {
	var f valueFlags
	cmd := &cobra.Command{
		Use:   "ask PEER VALUE…",
		Short: "Sends a message to one peer and prints its reply",
		Long:  valueHelp,
		Args:  cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			out, err := c.outgoing(args, &f)
			if err != nil {
				return err
			}
			var reply control.Message
			if err := c.client().Call(cmd.Context(), control.PathAsk, out, &reply); err != nil {
				return err
			}
			return c.printMessage(reply)
		},
	}
	f.add(cmd)
	return cmd
}
