package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/p2p-today/go2p/cmd/peer/control"
	"github.com/spf13/cobra"
)

func syncStatusCmd(c *cli) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Says how full the dictionary is and with whom it is level",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s control.SyncStatus
			if err := c.client().Call(cmd.Context(), control.PathSyncStatus, nil, &s); err != nil {
				return err
			}
			return c.print(s, syncText(s))
		},
	}
}

func syncText(s control.SyncStatus) string {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-12s %s\n", name, fmt.Sprintf(format, args...))
	}
	lease := "keys belong to nobody (--no-lease)"
	if s.Lease > 0 {
		lease = fmt.Sprintf("a key belongs to its writer for %v", time.Duration(s.Lease*float64(time.Second)))
	}
	line("dictionary", "%d keys, %.1f %% of %d MiB; %s", s.Keys, 100*float64(s.Bytes)/float64(s.MaxBytes), s.MaxBytes>>20, lease)
	level := "yes, with all neighbours"
	switch {
	case s.Full:
		level = "no, others have more than there is room for"
	case s.Waiting > 0:
		level = fmt.Sprintf("no, %d changes wait for earlier ones", s.Waiting)
	case len(s.Peers) == 0:
		level = "there is nobody to compare with"
	case !s.InSync:
		level = "not with all neighbours"
	}
	line("level", "%s", level)
	for _, p := range s.Peers {
		says := "not compared yet"
		switch {
		case p.Refused != "":
			says = p.Refused
		case p.InSyncAt != nil:
			says = "level at " + p.InSyncAt.Local().Format(time.TimeOnly)
		}
		line("with", "%s: %s; its clock is %v ahead", p.ID, says, time.Duration(p.Skew*float64(time.Second)).Round(time.Millisecond))
	}
	if s.Failed != "" {
		line("failed", "%s", s.Failed)
	}
	return strings.TrimSuffix(b.String(), "\n")
}
