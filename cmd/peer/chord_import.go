package main

import (
	"github.com/spf13/cobra"

	"github.com/p2p-today/go2p/cmd/peer/control"
)

const tableChunk = 200 // keys at once, each of which is written to its own homes

func (c *cli) chordImportCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "import FILE",
		Short: "Sets all keys of an export",
		Long:  `import sets the keys of a file (- for standard input), many at a time. With an error some of the last ones are set and some are not.`,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.imports(cmd.Context(), control.PathTableUpdate, args[0], tableChunk, "of the next %d some are not")
		},
	}
}

func (c *cli) chordUpdateCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "update FILE",
		Short: "Sets several keys",
		Long:  `update sets the keys of a file of {"key":…,"value":…} lines (- for standard input), one by one: with an error some are set.`,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.updateFrom(cmd.Context(), control.PathTableUpdate, args[0], 0)
		},
	}
}
