package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/p2p-today/go2p/cmd/peer/control"
)

func syncLeaseCmd(c *cli) *cobra.Command {
	return &cobra.Command{
		Use:   "lease KEY",
		Short: "Says whose a key is, and for how long",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			q, err := keyRequest(args[0])
			if err != nil {
				return err
			}
			var l control.Lease
			if err := c.client().Call(cmd.Context(), control.PathSyncLease, q, &l); err != nil {
				return err
			}
			return c.print(l, leaseLine(l))
		},
	}
}

// leaseLine returns a lease in one line.
func leaseLine(l control.Lease) string {
	if l.For <= 0 {
		return fmt.Sprintf("%s had it last, with term %d; anybody may write it now", l.Owner, l.Term)
	}
	left := time.Duration(l.For * float64(time.Second)).Round(time.Second)
	return fmt.Sprintf("%s has it for %v, until %s, with term %d", l.Owner, left, l.Until.Local().Format(time.DateTime), l.Term)
}
