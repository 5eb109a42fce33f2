package main

import (
	"github.com/spf13/cobra"

	"github.com/p2p-today/go2p/cmd/peer/control"
)

func (c *cli) replyCmd() *cobra.Command {
	var f valueFlags
	cmd := &cobra.Command{
		Use:   "reply ID VALUE…",
		Short: "Answers one of the last 256 messages, by its id",
		Long: `reply whispers to the author of a message. The id is what "recv" shows.
` + valueHelp,
		Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			out, err := c.outgoing(args, f)
			if err != nil {
				return err
			}
			return c.tell(cmd.Context(), control.PathReply, out)
		},
	}
	f.add(cmd)
	return cmd
}
