package main

import (
	"github.com/spf13/cobra"

	"github.com/p2p-today/go2p/cmd/peer/control"
)

func (c *cli) syncGetCmd() *cobra.Command {
	var meta bool
	cmd := &cobra.Command{
		Use:   "get KEY",
		Short: "Prints the value of a key",
		Long: `get prints text and bytes as they are, everything else as JSON, and a newline. With --meta it
tells whose the key is, too.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			q, err := keyRequest(args[0])
			if err != nil {
				return err
			}
			var it control.Item
			if err := c.client().Call(cmd.Context(), control.PathGet, q, &it); err != nil {
				return err
			}
			switch {
			case c.json && meta:
				return c.print(it, "")
			case c.json:
				return c.print(control.KeyValue{Key: it.Key, Value: it.Value}, "")
			case meta:
				signed := "signed by it"
				if !it.Signed {
					signed = "not signed: it came over an old link"
				}
				c.say("%s has it until %s, with term %d, %s", it.Owner, it.Until.Local().Format("2006-01-02 15:04:05"), it.Term, signed)
			}
			return c.printValue(it.Value)
		},
	}
	cmd.Flags().BoolVar(&meta, "meta", false, "tell owner, term, the end of the lease, and whether it is signed")
	return cmd
}
