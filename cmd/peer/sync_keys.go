package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/p2p-today/go2p/cmd/peer/control"
)

func (c *cli) syncKeysCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "keys",
		Short: "Lists the keys, in order, one a line",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.items(cmd.Context(), "keys=1", func(it control.Item) error {
				if c.json {
					return c.print(struct {
						Key control.Key `json:"key"`
					}{it.Key}, "")
				}
				return c.print(nil, string(it.Key))
			})
		},
	}
}

func (c *cli) syncItemsCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "items [PREFIX]",
		Short: "Lists keys with their values, in order",
		Long: `items lists the keys that begin with PREFIX, or all. Values are printed as JSON; with --json
each line tells whose the key is, too.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.items(cmd.Context(), "prefix="+url.QueryEscape(optional(args)), func(it control.Item) error {
				v, err := json.Marshal(it.Value)
				if err != nil {
					return failure(err)
				}
				return c.print(it, fmt.Sprintf("%s\t%s", it.Key, v))
			})
		},
	}
}

// optional is an argument that may be missing.
func optional(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

// items calls f for what the peer lists. A list that is long may take longer than the
// timeout, as long as it goes on.
func (c *cli) items(ctx context.Context, query string, f func(control.Item) error) error {
	for it, err := range control.Lines[control.Item](ctx, c.client(), control.PathItems+"?"+query) {
		if err == nil {
			err = f(it)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
