package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/p2p-today/go2p/cmd/peer/control"
)

func (c *cli) recvCmd() *cobra.Command {
	var follow bool
	var n int
	cmd := &cobra.Command{
		Use:   "recv",
		Short: "Prints messages that arrived",
		Long: `recv takes the messages that wait, at most the last 256. With -f it goes on with those that
arrive, until it has -n of them, is interrupted, or --timeout is over if one is given.

Packets go to standard output, text and bytes as they are; who sent a message goes to standard
error. With --json each message is an object a line.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if n < 0 {
				return usage("-n must not be below 0")
			}
			ctx := cmd.Context()
			if !follow || cmd.Flags().Changed("timeout") {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, c.timeout)
				defer cancel()
			}
			return c.recv(ctx, cmd.Context(), follow, n)
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with messages that arrive")
	cmd.Flags().IntVarP(&n, "count", "n", 0, "end after this many messages (default: no limit)")
	return cmd
}

func (c *cli) recv(ctx, interrupted context.Context, follow bool, n int) error {
	path := fmt.Sprintf("%s?n=%d", control.PathMessages, n)
	if follow {
		path += "&follow=1"
	}
	got := 0
	for msg, err := range control.Lines[control.Message](ctx, c.client(), path) {
		if follow && err != nil && (interrupted.Err() != nil || n == 0 && ctx.Err() != nil) {
			return nil // as it was asked to
		}
		if err != nil {
			return err
		}
		got++
		if !c.json {
			c.say("%s from %s at %s, id %s", msg.Kind, msg.From, msg.Time.Local().Format(time.TimeOnly), msg.ID)
		}
		if err := c.printMessage(msg); err != nil {
			return err
		}
	}
	if follow && interrupted.Err() == nil && (n == 0 || got < n) {
		return &control.Error{Text: "the peer ended the stream: it went down, or this command did not keep up", Exit: control.ExitFailure}
	}
	return nil
}
