package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"

	"github.com/spf13/cobra"

	"github.com/p2p-today/go2p/cmd/peer/control"
)

func (c *cli) chordKeysCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "keys",
		Short: "Lists the keys, one a line, in the order in which they come from around the ring",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.tableItems(cmd.Context(), "keys=1", func(it control.TableItem) error {
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

func (c *cli) chordItemsCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "items [PREFIX]",
		Short: "Lists keys with their values, in the order in which they come from around the ring",
		Long: `items lists the keys that begin with PREFIX, or all. Values are printed as JSON; with --json
each line tells who wrote it, too.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.tableItems(cmd.Context(), "prefix="+url.QueryEscape(optional(args)), func(it control.TableItem) error {
				v, err := json.Marshal(it.Value)
				if err != nil {
					return failure(err)
				}
				return c.print(it, fmt.Sprintf("%s\t%s", it.Key, v))
			})
		},
	}
}

// tableItems calls f for what the peer lists.
func (c *cli) tableItems(ctx context.Context, query string, f func(control.TableItem) error) error {
	for line, err := range control.Lines[control.ListLine](ctx, c.client(), control.PathTableItems+"?"+query) {
		if err == nil && line.Error != nil {
			err = line.Error
		}
		if err == nil {
			err = f(line.TableItem)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *cli) chordExportCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "export",
		Short: "Prints all keys and values as JSON Lines, for import",
		Long: `export prints {"key":…,"value":…} a line, in the order of the keys, which it first takes into
memory; bytes are {"b64":"…"}.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p := c.progress("exporting", -1)
			defer p.done()
			var all []control.KeyValue
			err := c.tableItems(cmd.Context(), "", func(it control.TableItem) error {
				p.add(1)
				all = append(all, control.KeyValue{Key: it.Key, Value: it.Value})
				return nil
			})
			if err != nil {
				return err
			}
			slices.SortFunc(all, func(a, b control.KeyValue) int { return cmp.Compare(a.Key, b.Key) })
			out := bufio.NewWriter(c.out)
			enc := json.NewEncoder(out)
			for _, kv := range all {
				err = errors.Join(err, enc.Encode(kv))
			}
			return failure(errors.Join(err, out.Flush()))
		},
	}
}

func (c *cli) chordWatchCmd() *cobra.Command {
	var n int
	cmd := &cobra.Command{
		Use:   "watch [PREFIX]",
		Short: "Prints what changes of the keys that begin with PREFIX",
		Long: `watch prints a line a change: update KEY VALUE, or delete KEY. It goes on until it has -n of
them, is interrupted, or --timeout is over if one is given. If so much changed at once that some
is not told, a line says missed.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.watch(cmd, control.PathTableWatch+"?prefix="+url.QueryEscape(optional(args)), n)
		},
	}
	cmd.Flags().IntVarP(&n, "count", "n", 0, "end after this many changes (default: no limit)")
	return cmd
}
