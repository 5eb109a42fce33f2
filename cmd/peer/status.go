package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/p2p-today/go2p/cmd/peer/control"
)

func statusCmd(c *cli) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Says how the running peer is: addresses, network, counts, last errors",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s control.Status
			if err := c.client().Call(cmd.Context(), control.PathStatus, nil, &s); err != nil {
				return err
			}
			return c.print(s, statusText(s))
		},
	}
}

func statusText(s control.Status) string {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-12s %s\n", name, fmt.Sprintf(format, args...))
	}
	kind := "open"
	if s.Private {
		kind = "private"
	}
	line("id", "%s", s.ID)
	for _, a := range short(s.Addrs) {
		line("address", "%s", a)
	}
	line("network", "%s (%s)", s.Network, kind)
	line("neighbours", "%d, and %d being redialled", s.Neighbours, s.Redialling)
	line("sent", "%d broadcasts, %d whispers", s.Sent.Broadcasts, s.Sent.Whispers)
	line("received", "%d broadcasts, %d whispers, %d messages waiting for recv", s.Received.Broadcasts, s.Received.Whispers, s.Waiting)
	line("trouble", "%d broadcasts dropped, %d with bad signatures", s.Dropped, s.BadSigs)
	for l := range strings.SplitSeq(syncText(s.Sync), "\n") {
		b.WriteString(l + "\n")
	}
	line("table", "%s", chordText(s.Chord))
	line("running", "for %v, process %d, data in %s", time.Duration(s.Uptime*float64(time.Second)).Round(time.Second), s.PID, s.Data)
	for _, e := range s.Errors {
		line("error", "%s %s: %s", e.Time.Format(time.TimeOnly), e.Peer, e.Error)
	}
	return strings.TrimSuffix(b.String(), "\n")
}
