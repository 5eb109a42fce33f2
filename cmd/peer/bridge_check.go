package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/spf13/cobra"

	"github.com/p2p-today/go2p/compat"
)

// foundNode is what `bridge check --json` prints.
type foundNode struct {
	Transport string `json:"transport"`
	Version   string `json:"version"`
	Language  string `json:"language,omitempty"`
	ID        string `json:"id"`
	Addr      string `json:"addr,omitempty"`
	SubnetID  string `json:"subnet_id,omitempty"`
	Network   string `json:"network,omitempty"`
}

func bridgeCheckCmd(c *cli) *cobra.Command {
	var subnets []string
	cmd := &cobra.Command{
		Use:   "check HOST:PORT",
		Short: "Finds out what an old node speaks, without harm to it",
		Long: `check says which version an old node speaks and over what, whether it is py2p or js2p, and which
network it is of if that has one of the usual names, or one of --subnet. It listens before it says
anything, since old nodes may not survive the words of another version. No peer need be running.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, _, err := net.SplitHostPort(args[0]); err != nil {
				return usage("%v", err)
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), c.timeout)
			defer cancel()
			f, err := compat.Check(ctx, args[0], subnets...)
			if err != nil {
				return checkFailure(err)
			}
			return c.print(foundNode{string(f.Transport), f.Version, f.Language, f.ID, f.Addr, f.SubnetID, f.Network}, foundText(f))
		},
	}
	cmd.Flags().StringArrayVar(&subnets, "subnet", nil, "a name that its network could have")
	return cmd
}

// checkFailure returns err with the exit code and the hint for an address where another program answers, or none.
func checkFailure(err error) error {
	e := &exitError{Text: err.Error(), Exit: exitTimeout, Hint: "is it running, and is that its port?"}
	if errors.Is(err, compat.ErrSaysNothing) {
		e.Exit, e.Hint = exitFailure, "if its network has another name than the usual ones, give it with --subnet"
	}
	return e
}

func foundText(f compat.Found) string {
	who := "a node"
	if f.Language != "" {
		who = f.Language + "2p"
	}
	lines := []string{fmt.Sprintf("%s %s over %s", who, f.Version, f.Transport), "id       " + f.ID}
	if f.Addr != "" {
		lines = append(lines, "listens  "+f.Addr)
	}
	switch {
	case f.Network != "":
		lines = append(lines, "network  "+f.Network)
	default:
		lines = append(lines, "network  unknown: its subnet ID is "+f.SubnetID+", try --subnet")
	}
	return strings.Join(lines, "\n")
}
