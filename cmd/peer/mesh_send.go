package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/p2p-today/go2p/cmd/peer/control"
)

func sendCmd(c *cli) *cobra.Command {
	var f valueFlags
	cmd := &cobra.Command{
		Use:   "send VALUE…",
		Short: "Sends a message to every member of the network",
		Long: `send broadcasts one message with the VALUEs as its packets.
` + valueHelp,
		Example: `  peer mesh send "door opened" 17
  peer mesh send - < notes.txt`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			packets, err := f.read(c.in, args)
			if err != nil {
				return err
			}
			var sent control.Sent
			if err := c.client().Call(cmd.Context(), control.PathSend, control.Outgoing{Packets: packets}, &sent); err != nil {
				return err
			}
			if sent.Neighbours+sent.OldNodes == 0 {
				c.say("there was nobody to send it to\nhint: `peer mesh connect ADDR` connects to a peer")
			}
			text := fmt.Sprintf("neighbours: %d", sent.Neighbours)
			if sent.Delivered < sent.Neighbours {
				text += fmt.Sprintf(", of which %d have it so far", sent.Delivered)
			}
			if sent.OldNodes > 0 {
				text += fmt.Sprintf("; old nodes: %d", sent.OldNodes)
			}
			return c.print(sent, text)
		},
	}
	f.add(cmd)
	return cmd
}
