package main

import (
	"github.com/spf13/cobra"

	"github.com/p2p-today/go2p/cmd/peer/control"
)

func (c *cli) syncLeaseCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "lease KEY",
		Short: "Says whose a key is, and for how long",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			q, err := keyRequest(args[0])
			if err != nil {
				return err
			}
			var l control.Lease
			if err := c.client().Call(cmd.Context(), control.PathLease, q, &l); err != nil {
				return err
			}
			return c.print(l, leaseLine(l))
		},
	}
}
