package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/p2p-today/go2p/cmd/peer/control"
)

func (c *cli) chordGetCmd() *cobra.Command {
	var trace bool
	cmd := &cobra.Command{
		Use:   "get KEY",
		Short: "Prints the value of a key",
		Long: `get prints text and bytes as they are, everything else as JSON, and a newline. With --trace it
tells on standard error whom it asked, as which of the key's homes, what they said, and how long
that took.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			q, err := keyRequest(args[0])
			if err != nil {
				return err
			}
			var it control.TableItem
			if err := c.client().Call(cmd.Context(), control.PathTableGet, q, &it); err != nil {
				return err
			}
			switch {
			case c.json && trace:
				return c.print(it, "")
			case c.json:
				return c.print(control.KeyValue{Key: it.Key, Value: it.Value}, "")
			case trace:
				for i, s := range it.Trace {
					fmt.Fprintf(c.err, "%2d  %s at slot %d, as %s: %s (%.2f ms)\n", i+1, s.Peer, s.Slot, s.Role, s.Answer, s.Took)
				}
				fmt.Fprintf(c.err, "version %d, written by %s, read in %.2f ms; its homes:\n", it.Version, it.Writer, it.Took)
				for _, h := range it.Homes {
					fmt.Fprintf(c.err, "    %s\n", h)
				}
			}
			return c.printValue(it.Value)
		},
	}
	cmd.Flags().BoolVar(&trace, "trace", false, "tell of each question on the way")
	return cmd
}
