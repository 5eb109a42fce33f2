package main

import (
	"github.com/spf13/cobra"

	"github.com/p2p-today/go2p/cmd/peer/control"
)

func disconnectCmd(c *cli) *cobra.Command {
	return &cobra.Command{
		Use:   "disconnect PEER",
		Short: "Ends being neighbours with a peer, until one of the two connects again",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.request(cmd.Context(), control.PathDisconnect, control.Target{Peer: args[0]})
		},
	}
}
