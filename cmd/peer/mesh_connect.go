package main

import (
	"github.com/spf13/cobra"

	"github.com/p2p-today/go2p/cmd/peer/control"
)

func connectCmd(c *cli) *cobra.Command {
	return &cobra.Command{
		Use:     "connect MULTIADDR",
		Short:   "Connects to a peer and waits until both are neighbours",
		Example: "  peer mesh connect /ip4/192.0.2.7/udp/44565/quic-v1/p2p/12D3Koo…",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.request(cmd.Context(), control.PathConnect, control.Target{Addr: args[0]})
		},
	}
}
