package main

import (
	"github.com/spf13/cobra"

	"github.com/p2p-today/go2p/cmd/peer/control"
)

func (c *cli) whisperCmd() *cobra.Command {
	var f valueFlags
	cmd := &cobra.Command{
		Use:   "whisper PEER VALUE…",
		Short: "Sends a message to one peer and waits until it has it",
		Long: `whisper sends to a member by its ID, neighbour or not, and exits 0 only when that one has
acknowledged the message.
` + valueHelp,
		Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			out, err := c.outgoing(args, f)
			if err != nil {
				return err
			}
			return c.tell(cmd.Context(), control.PathWhisper, out)
		},
	}
	f.add(cmd)
	return cmd
}
