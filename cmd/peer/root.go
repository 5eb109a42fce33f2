package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"
)

// run runs the command line and returns its exit code.
func run(ctx context.Context, args []string, in io.Reader, out, errs io.Writer) int {
	c := &cli{in: in, out: out, err: errs}
	root := rootCmd(c)
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errs)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	e := explain(err)
	if c.json || slices.Contains(args, "--json") { // the parser has not seen --json if a bad flag stands before it
		json.NewEncoder(errs).Encode(e)
		return e.Exit
	}
	fmt.Fprintln(errs, "peer:", e.Text)
	if e.Hint != "" {
		fmt.Fprintln(errs, "hint:", e.Hint)
	}
	return e.Exit
}

func rootCmd(c *cli) *cobra.Command {
	root := &cobra.Command{
		Use:   "peer",
		Short: "Runs a go2p peer and talks to it",
		Long: `peer up runs a peer in the foreground; every other command talks to that peer.

Two peers on one machine differ in --data.

Exit codes: 0 ok, 1 failure, 2 usage, 3 not found, 4 timeout, not delivered or nobody there,
5 refused (network, membership, leases, k), 6 lease held by another, 7 no peer running.`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	group(root)
	flags := root.PersistentFlags()
	flags.StringVar(&c.data, "data", defaultData(), "directory of the peer's identity and data (env PEER_DATA)")
	flags.BoolVar(&c.json, "json", false, "print JSON: one object, or one a line for lists and streams")
	flags.DurationVar(&c.timeout, "timeout", 10*time.Second, "how long a command waits")
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		if c.timeout <= 0 {
			return errors.New("--timeout must be above 0")
		}
		var err error
		c.data, err = filepath.Abs(c.data)
		return failure(err)
	}
	root.AddCommand(
		upCmd(c), idCmd(c), keyCmd(c), statusCmd(c), doctorCmd(c), versionCmd(c), completionCmd(),
		meshCmd(c), syncCmd(c), chordCmd(c), bridgeCmd(c), lockCmd(c),
	)
	return root
}
