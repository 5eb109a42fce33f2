package main

import (
	"encoding/json"
	"fmt"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/p2p-today/go2p/cmd/peer/control"
)

func (k kv) watchCmd() *cobra.Command {
	var from string
	var n int
	cmd := k.command("watch", "[PREFIX]", cobra.MaximumNArgs(1), func(cmd *cobra.Command, args []string) error {
		return k.watch(cmd, url.Values{"prefix": {optional(args)}, "from": {from}}, n)
	})
	if k.resumes {
		cmd.Flags().StringVar(&from, "from", "", "go on after this revision")
	}
	cmd.Flags().IntVarP(&n, "count", "n", 0, "end after this many changes (default: no limit)")
	return cmd
}

// watch prints n changes, or changes without end if n is 0.
func (k kv) watch(cmd *cobra.Command, query url.Values, n int) error {
	ctx, cancel := k.bounded(cmd)
	defer cancel()
	seen := 0
	for change, err := range control.Lines[control.Change](ctx, k.client(), k.store.Path(control.Watch)+"?"+query.Encode(), nil) {
		if err != nil && (cmd.Context().Err() != nil || n == 0 && ctx.Err() != nil) {
			return nil // as it was asked to
		}
		if err == nil {
			err = k.printChange(change)
		}
		if err != nil {
			return err
		}
		if seen++; seen == n {
			return nil
		}
	}
	return &exitError{Text: "the peer went down", Exit: exitFailure}
}

func (k kv) printChange(change control.Change) error {
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
	return k.print(change, line)
}
