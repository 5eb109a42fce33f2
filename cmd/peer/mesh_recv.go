package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/p2p-today/go2p/cmd/peer/control"
)

// A recvCommand has the flags of recv.
type recvCommand struct {
	*cli
	follow bool
	count  int
}

func recvCmd(c *cli) *cobra.Command {
	r := &recvCommand{cli: c}
	cmd := &cobra.Command{
		Use:   "recv",
		Short: "Prints messages that arrived",
		Long: `recv takes the messages that wait, at most the last 256. With -f it goes on with those that
arrive, until it has -n of them, is interrupted, or --timeout is over if one is given.

Packets go to standard output, text and bytes as they are; who sent a message goes to standard
error. With --json each message is an object a line.`,
		Args: cobra.NoArgs,
		RunE: r.run,
	}
	cmd.Flags().BoolVarP(&r.follow, "follow", "f", false, "go on with messages that arrive")
	cmd.Flags().IntVarP(&r.count, "count", "n", 0, "end after this many messages (default: no limit)")
	return cmd
}

func (r *recvCommand) run(cmd *cobra.Command, _ []string) error {
	if r.count < 0 {
		return usage("-n must not be below 0")
	}
	ctx := cmd.Context()
	if !r.follow || cmd.Flags().Changed("timeout") {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, r.timeout)
		defer cancel()
	}
	return r.receive(ctx, cmd.Context())
}

// receive prints messages until ctx ends. The context interrupted ends only if the user interrupts the command.
func (r *recvCommand) receive(ctx, interrupted context.Context) error {
	got := 0
	q := control.MessagesRequest{N: r.count, Follow: r.follow}
	for msg, err := range control.Lines[control.Message](ctx, r.client(), control.PathMessages, q) {
		if r.follow && err != nil && (interrupted.Err() != nil || r.count == 0 && ctx.Err() != nil) {
			return nil // as it was asked to
		}
		if err != nil {
			return err
		}
		got++
		if !r.json {
			r.say("%s from %s at %s, id %s", msg.Kind, msg.From, msg.Time.Local().Format(time.TimeOnly), msg.ID)
		}
		if err := r.printMessage(msg); err != nil {
			return err
		}
	}
	if r.follow && interrupted.Err() == nil && (r.count == 0 || got < r.count) {
		return &exitError{Text: "the peer ended the stream: it went down, or this command did not keep up", Exit: exitFailure}
	}
	return nil
}
