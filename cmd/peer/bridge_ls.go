package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/p2p-today/go2p/cmd/peer/control"
)

func bridgeLsCmd(c *cli) *cobra.Command {
	return &cobra.Command{
		Use:   "ls",
		Short: "Lists the links with old networks",
		Long: `ls shows for each link the old nodes that are connected, how many messages and keys have crossed
in either direction, what was dropped and why, and who was refused: of another version or subnet,
as far as that shows.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), c.timeout)
			defer cancel()
			for l, err := range control.Lines[control.Link](ctx, c.client(), control.PathBridge, nil) {
				if err != nil {
					return err
				}
				if err := c.print(l, linkText(l)); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func linkText(l control.Link) string {
	lines := []string{fmt.Sprintf("%s: %s %q of %s over %s", l.Name, l.Kind, l.Subnet, l.Version, l.Transport)}
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf("  "+format, args...)) }
	if l.Addr != "" {
		add("lets old nodes in at %s", l.Addr)
	}
	if len(l.Peers) == 0 {
		add("connected with nobody")
	}
	for _, p := range l.Peers {
		add("%s %s at %s, since %s", cmp.Or(p.Language, "node"), p.ID, cmp.Or(p.Addr, p.Remote), p.Since.Local().Format(time.TimeOnly))
	}
	add("in %d, out %d, replies for %d authors", l.In, l.Out, l.Authors)
	for _, why := range slices.Sorted(maps.Keys(l.Dropped)) {
		add("dropped %d: %s", l.Dropped[why], why)
	}
	for _, r := range l.Refused {
		add("refused %s at %s: %s", r.Remote, r.Time.Local().Format(time.TimeOnly), r.Why)
	}
	return strings.Join(lines, "\n")
}
