package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/p2p-today/go2p/cmd/peer/control"
)

func (c *cli) syncWatchCmd() *cobra.Command {
	var from string
	var n int
	cmd := &cobra.Command{
		Use:   "watch [PREFIX]",
		Short: "Prints what there is of the keys that begin with PREFIX, then what changes",
		Long: `watch prints a line a change: update KEY VALUE, or delete KEY. It goes on until it has -n of
them, is interrupted, or --timeout is over if one is given. With --json each line has a
"revision"; --from goes on after one of those. If too much has changed since, or this command
did not keep up, a line says reset, and what is there follows anew.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.watch(cmd, control.PathWatch+"?"+url.Values{"prefix": {optional(args)}, "from": {from}}.Encode(), n)
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "go on after this revision")
	cmd.Flags().IntVarP(&n, "count", "n", 0, "end after this many changes (default: no limit)")
	return cmd
}

// bounded is a command's context, which ends after --timeout if one was given: some
// commands go on for ever, or for as long as it takes, without.
func (c *cli) bounded(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	if cmd.Flags().Changed("timeout") {
		return context.WithTimeout(cmd.Context(), c.timeout)
	}
	return context.WithCancel(cmd.Context())
}

// watch prints n changes, or with 0 all that come.
func (c *cli) watch(cmd *cobra.Command, path string, n int) error {
	ctx, cancel := c.bounded(cmd)
	defer cancel()
	seen := 0
	for change, err := range control.Lines[control.Change](ctx, c.client(), path) {
		if err != nil && (cmd.Context().Err() != nil || n == 0 && ctx.Err() != nil) {
			return nil // as it was asked to
		}
		if err == nil {
			err = c.printChange(change)
		}
		if err != nil {
			return err
		}
		if seen++; seen == n {
			return nil
		}
	}
	return &control.Error{Text: "the peer went down", Exit: control.ExitFailure}
}

func (c *cli) printChange(change control.Change) error {
	line := change.Event
	if change.Key != nil {
		line += " " + string(*change.Key)
	}
	if change.Event == "update" {
		v, err := json.Marshal(change.Value)
		if err != nil {
			return failure(err)
		}
		line += fmt.Sprintf(" %s", v)
	}
	return c.print(change, line)
}
