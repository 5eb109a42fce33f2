package main

import (
	"context"
	"fmt"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/p2p-today/go2p/cmd/peer/control"
)

func (c *cli) doctorCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor [PEER|MULTIADDR]",
		Short: "Finds out why peers do not get together",
		Long: `doctor examines this peer, and with an argument the way to another one: its addresses one by one,
the secure channel, the network and the clocks. It says where it stops and what to do. What stops the
hello stands in the other peer's log, too.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), c.timeout)
			defer cancel()
			_, id, err := c.identity()
			if err != nil {
				return err
			}
			if err := c.printStep(control.Step{Step: "identity", OK: true, Says: id.String()}); err != nil {
				return err
			}
			path := control.PathDoctor
			if len(args) == 1 {
				path += "?target=" + url.QueryEscape(args[0])
			}
			return c.examine(ctx, path)
		},
	}
}

// examine prints the steps. Of those that are not OK the last decides: an address
// that fails does not matter if another one leads on.
func (c *cli) examine(ctx context.Context, path string) error {
	var last control.Step
	for st, err := range control.Lines[control.Step](ctx, c.client(), path) {
		if err != nil {
			return err
		}
		if err := c.printStep(st); err != nil {
			return err
		}
		last = st
	}
	if !last.OK {
		return &control.Error{Text: last.Step + ": " + last.Says, Hint: last.Hint, Exit: last.Exit}
	}
	return nil
}

func (c *cli) printStep(st control.Step) error {
	mark := "ok  "
	if !st.OK {
		mark = "FAIL"
	}
	text := fmt.Sprintf("%s  %-14s  %s", mark, st.Step, st.Says)
	if st.Hint != "" {
		text += "\n                      hint: " + st.Hint
	}
	return c.print(st, text)
}
