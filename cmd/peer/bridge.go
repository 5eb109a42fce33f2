package main

import "github.com/spf13/cobra"

func bridgeCmd(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bridge",
		Short: "Old networks: of py2p and js2p 0.4 to 0.7",
	}
	group(cmd)
	cmd.AddCommand(bridgeAddCmd(c), bridgeLsCmd(c), bridgeRmCmd(c), bridgeCheckCmd(c))
	return cmd
}
