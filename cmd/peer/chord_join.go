package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/p2p-today/go2p/cmd/peer/control"
)

func chordJoinCmd(c *cli) *cobra.Command {
	return &cobra.Command{
		Use:   "join",
		Short: "Makes this peer store its share of the table",
		Long:  `join takes a slot of the ring and what belongs there. It returns when that is all here.`,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return printTask(c, cmd, control.PathChordJoin, "getting keys", func(l control.TaskLine) string {
				return fmt.Sprintf("stores, in slot %d", l.Slot)
			})
		},
	}
}

func chordLeaveCmd(c *cli) *cobra.Command {
	return &cobra.Command{
		Use:   "leave",
		Short: "Hands over what this peer stores, and stops storing",
		Long: `leave returns when others have all that was stored here. The peer may still read and write;
it stores again after join, or when it is started anew.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return printTask(c, cmd, control.PathChordLeave, "handing over", func(control.TaskLine) string {
				return "does not store any more"
			})
		},
	}
}

// printTask starts a long task and shows its progress until it is done.
func printTask(c *cli, cmd *cobra.Command, path, what string, done func(control.TaskLine) string) error {
	ctx, cancel := c.bounded(cmd)
	defer cancel()
	p := c.progress(what, -1)
	defer p.done()
	for line, err := range control.Lines[control.TaskLine](ctx, c.client(), path, struct{}{}) {
		switch {
		case err != nil:
			return err
		case line.Error != nil:
			return line.Error
		case line.Task != "":
			p.at(line.Done, line.Total)
		default:
			return c.print(line, done(line))
		}
	}
	return &exitError{Text: "the peer went down", Exit: exitFailure}
}
