package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/p2p-today/go2p/cmd/peer/control"
)

func peersCmd(c *cli) *cobra.Command {
	return &cobra.Command{
		Use:   "peers",
		Short: "Lists the neighbours: members of the network that this peer is connected to",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), c.timeout)
			defer cancel()
			for p, err := range control.Lines[control.Peer](ctx, c.client(), control.PathPeers, nil) {
				if err != nil {
					return err
				}
				text := fmt.Sprintf("%s %s %.1f ms, since %s", p.ID, p.Path, p.RTT, p.Since.Format(time.DateTime))
				if err := c.print(p, text); err != nil {
					return err
				}
			}
			return nil
		},
	}
}
