package main

import (
	"github.com/spf13/cobra"

	"github.com/p2p-today/go2p/cmd/peer/control"
)

func replyCmd(c *cli) *cobra.Command {
	return addressedCmd(c, control.PathReply, "reply ID VALUE…", "Answers one of the last 256 messages, by its id",
		`reply whispers to the author of a message. The id is what "recv" shows.
`)
}
