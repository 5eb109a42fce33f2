package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/p2p-today/go2p/cmd/peer/control"
)

func doctorCmd(c *cli) *cobra.Command {
	return &cobra.Command{
		Use:   "doctor [PEER|MULTIADDR]",
		Short: "Finds out why peers do not get together",
		Long: `doctor examines this peer, and with an argument the way to another one: its addresses one by one,
the secure channel, the network and the clocks. It says where it stops and what to do. What stops the
hello stands in the other peer's log, too.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), c.timeout)
			defer cancel()
			_, id, err := identity(c.data)
			if err != nil {
				return err
			}
			if err := printStep(c, step{Step: "identity", OK: true, Says: id.String()}); err != nil {
				return err
			}
			return examine(ctx, c, control.DoctorRequest{Target: optional(args)})
		},
	}
}

// A step is a finding of the doctor as it is printed.
type step struct {
	Step string `json:"step"`
	OK   bool   `json:"ok"`
	Says string `json:"says"`
	Hint string `json:"hint,omitempty"`
	Exit int    `json:"exit,omitempty"` // of a step that is not OK
}

// toStep returns a finding with its exit code. A hello that failed gets the hint for its code.
func toStep(f control.Step) step {
	st := step{Step: f.Step, OK: f.OK, Says: f.Says, Hint: f.Hint}
	if f.OK {
		return st
	}
	exit, hint := remedy(&control.Error{Code: f.Code})
	if f.Step == control.StepHello {
		st.Hint = hint
	}
	st.Exit = exit
	return st
}

// examine prints the steps. Only the last step decides about success: an address that fails does not matter if another
// one works.
func examine(ctx context.Context, c *cli, q control.DoctorRequest) error {
	var last step
	for found, err := range control.Lines[control.Step](ctx, c.client(), control.PathDoctor, q) {
		if err != nil {
			return err
		}
		last = toStep(found)
		if err := printStep(c, last); err != nil {
			return err
		}
	}
	if !last.OK {
		return &exitError{Text: last.Step + ": " + last.Says, Hint: last.Hint, Exit: last.Exit}
	}
	return nil
}

func printStep(c *cli, st step) error {
	mark := "ok  "
	if !st.OK {
		mark = "FAIL"
	}
	text := fmt.Sprintf("%s  %-14s  %s", mark, st.Step, st.Says)
	if st.Hint != "" {
		text += "\n                      hint: " + st.Hint
	}
	return c.print(st, text)
}
