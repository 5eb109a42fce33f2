package main

import "github.com/spf13/cobra"

func (c *cli) bridgeCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bridge",
		Short: "Old networks: of py2p and js2p 0.4 to 0.7",
	}
	group(cmd)
	cmd.AddCommand(c.bridgeAddCmd(), c.bridgeLsCmd(), c.bridgeRmCmd(), c.bridgeCheckCmd())
	return cmd
}
