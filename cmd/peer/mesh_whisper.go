package main

import (
	"github.com/spf13/cobra"

	"github.com/p2p-today/go2p/cmd/peer/control"
)

func whisperCmd(c *cli) *cobra.Command {
	return addressedCmd(c, control.PathWhisper, "whisper PEER VALUE…", "Sends a message to one peer and waits until it has it",
		`whisper sends to a member by its ID, neighbour or not, and exits 0 only when that one has
acknowledged the message.
`)
}

// addressedCmd returns a command that sends VALUEs to the peer or the message that its first argument names.
func addressedCmd(c *cli, path, use, short, long string) *cobra.Command {
	var f valueFlags
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		Long:  long + valueHelp,
		Args:  cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			out, err := c.outgoing(args, &f)
			if err != nil {
				return err
			}
			return c.request(cmd.Context(), path, out)
		},
	}
	f.add(cmd)
	return cmd
}
