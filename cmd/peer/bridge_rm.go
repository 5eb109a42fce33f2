package main

import (
	"github.com/spf13/cobra"

	"github.com/p2p-today/go2p/cmd/peer/control"
)

func bridgeRmCmd(c *cli) *cobra.Command {
	return &cobra.Command{
		Use:   "rm NAME",
		Short: "Ends a link with an old network",
		Long:  "rm ends a link. Old nodes of py2p that lose a connection may lose others, too.",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.request(cmd.Context(), control.PathBridgeRemove, control.LinkRequest{Name: args[0]})
		},
	}
}
