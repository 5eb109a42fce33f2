package main

import (
	"github.com/spf13/cobra"

	"github.com/p2p-today/go2p/cmd/peer/control"
)

func (c *cli) syncDelCmd() *cobra.Command {
	var acks int
	cmd := &cobra.Command{
		Use:   "del KEY",
		Short: "Removes a key, which is nobody's then",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			q, err := keyRequest(args[0])
			if err != nil {
				return err
			}
			q.Acks = acks
			return c.tell(cmd.Context(), control.PathDelete, q)
		},
	}
	ackFlag(cmd, &acks)
	return cmd
}
