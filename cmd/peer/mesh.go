package main

import (
	"github.com/spf13/cobra"
)

func meshCmd(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "mesh",
		Short: "Neighbours and messages",
	}
	group(cmd)
	cmd.AddCommand(peersCmd(c), connectCmd(c), disconnectCmd(c),
		sendCmd(c), whisperCmd(c), askCmd(c), replyCmd(c), recvCmd(c))
	return cmd
}
