package main

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/p2p-today/go2p/cmd/peer/control"
)

func (c *cli) syncCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sync",
		Short: "The dictionary that every peer of the network holds whole",
		Long: `Reads are local. A key belongs to its writer for the lease (up --lease), and each write of
its owner renews that; others are refused meanwhile, with exit code 6.`,
	}
	group(cmd)
	cmd.AddCommand(c.syncGetCmd(), c.syncSetCmd(), c.syncDelCmd(), c.syncKeysCmd(), c.syncItemsCmd(), c.syncWatchCmd(), c.syncPopCmd(),
		c.syncUpdateCmd(), c.syncDeltaCmd(), c.syncLeaseCmd(), c.syncStatusCmd(), c.syncExportCmd(), c.syncImportCmd())
	return cmd
}

// keyRequest reads a KEY argument.
func keyRequest(key string) (control.KeyRequest, error) {
	if !utf8.ValidString(key) {
		return control.KeyRequest{}, usage("KEY %q is not valid UTF-8", key)
	}
	return control.KeyRequest{Key: control.Key(key)}, nil
}

// keyValueRequest reads a KEY and a VALUE argument.
func (c *cli) keyValueRequest(args []string, f valueFlags) (control.KeyRequest, error) {
	q, err := keyRequest(args[0])
	if err != nil {
		return q, err
	}
	values, err := c.packets(args[1:], f)
	if err != nil {
		return q, err
	}
	q.Value = values[0]
	return q, nil
}

// printValue prints a value for a person, or a pipe.
func (c *cli) printValue(v any) error {
	t, err := text(v)
	if err == nil {
		_, err = fmt.Fprintln(c.out, t)
	}
	return failure(err)
}

// leaseLine says whose a key is.
func leaseLine(l control.Lease) string {
	if l.For <= 0 {
		return fmt.Sprintf("%s had it last, with term %d; anybody may write it now", l.Owner, l.Term)
	}
	left := time.Duration(l.For * float64(time.Second)).Round(time.Second)
	return fmt.Sprintf("%s has it for %v, until %s, with term %d", l.Owner, left, l.Until.Local().Format(time.DateTime), l.Term)
}

// ackFlag lets a write wait for other members.
func ackFlag(cmd *cobra.Command, n *int) {
	cmd.Flags().IntVar(n, "acks", 0, "wait until so many other members have it, on disk if they have one")
}

func (c *cli) syncStatusCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Says how full the dictionary is and with whom it is level",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s control.SyncStatus
			if err := c.client().Call(cmd.Context(), control.PathSync, nil, &s); err != nil {
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
	case !s.Level:
		level = "not with all neighbours"
	}
	line("level", "%s", level)
	for _, p := range s.Peers {
		says := "not compared yet"
		switch {
		case p.Refused != "":
			says = p.Refused
		case p.Level != nil:
			says = "level at " + p.Level.Local().Format(time.TimeOnly)
		}
		line("with", "%s: %s; its clock is %v ahead", p.ID, says, time.Duration(p.Skew*float64(time.Second)).Round(time.Millisecond))
	}
	if s.Failed != "" {
		line("failed", "%s", s.Failed)
	}
	return strings.TrimSuffix(b.String(), "\n")
}
