package main

import "github.com/spf13/cobra"

// kvCommands returns the commands that both stores have.
func kvCommands(c *cli, spec kvSpec) []*cobra.Command {
	k := kv{c, spec}
	return []*cobra.Command{
		k.getCmd(), k.setCmd(), k.deltaCmd(), k.delCmd(), k.popCmd(), k.keysCmd(), k.itemsCmd(), k.watchCmd(),
		k.updateCmd(), k.importCmd(), k.exportCmd(),
	}
}
