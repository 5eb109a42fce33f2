package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/p2p-today/go2p/cmd/peer/control"
)

func (k kv) keysCmd() *cobra.Command {
	return k.command("keys", "", cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
		return k.items(cmd.Context(), "keys=1", func(it item) error {
			return k.print(struct {
				Key control.Key `json:"key"`
			}{it.Key}, string(it.Key))
		})
	})
}

func (k kv) itemsCmd() *cobra.Command {
	return k.command("items", "[PREFIX]", cobra.MaximumNArgs(1), func(cmd *cobra.Command, args []string) error {
		return k.items(cmd.Context(), "prefix="+url.QueryEscape(optional(args)), func(it item) error {
			v, err := json.Marshal(it.Value)
			if err != nil {
				return failure(err)
			}
			return k.print(it.whole, fmt.Sprintf("%s\t%s", it.Key, v))
		})
	})
}

// items calls f for each item that the peer lists. --timeout does not limit how long a list takes.
func (k kv) items(ctx context.Context, query string, f func(item) error) error {
	for it, err := range control.Lines[item](ctx, k.client(), k.store.Path(control.Items)+"?"+query, nil) {
		switch {
		case err != nil:
			return err
		case it.Error != nil:
			return it.Error
		}
		if err := f(it); err != nil {
			return err
		}
	}
	return nil
}
