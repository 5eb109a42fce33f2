package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/p2p-today/go2p/cmd/peer/control"
	"github.com/p2p-today/go2p/compat"
)

const legacyHelp = `A URL says which old network it is, and how to take part in it:

  mesh|sync|chord://[HOST:PORT]?version=0.4|0.5|0.6|0.7&subnet=S&transport=plaintext|ssl|ws
      [&leasing=off][&k=N][&connect=HOST:PORT,…][&autodial=on][&advertise=HOST:PORT][&name=NAME]

HOST:PORT is where old nodes are let in, which none are without it. connect names old nodes to
connect to, again and again until they are there. Only the version must be given. Quote the URL:
shells make something else of &.`

func bridgeAddCmd(c *cli) *cobra.Command {
	return &cobra.Command{
		Use:   "add URL",
		Short: "Makes the peer a bridge to an old network, until it ends",
		Long: `add takes part in an old network and carries between it and the peer's: messages, and what
stands in the dictionary or the table if it is of that kind. To have it each time the peer is
started, give up the URL with --legacy.

` + legacyHelp,
		Example: `  peer bridge add 'mesh://0.0.0.0:4444?version=0.7'
  peer bridge add 'sync://?version=0.5&connect=192.0.2.7:4444&name=sensors'`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, _, _, err := compat.ParseURL(args[0]); err != nil {
				return usage("%v", err)
			}
			var l control.Link
			if err := c.client().Call(cmd.Context(), control.PathBridgeAdd, control.LinkRequest{URL: args[0]}, &l); err != nil {
				return err
			}
			text := fmt.Sprintf("%s is a link with a %s network of %s", l.Name, l.Kind, l.Version)
			if l.Addr != "" {
				text += ", which lets old nodes in at " + l.Addr
			}
			return c.print(l, text)
		},
	}
}
