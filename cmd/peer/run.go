package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/p2p-today/go2p/cmd/peer/control"
)

// A cli is one run of the command: the flags that every command has, and the
// three streams.
type cli struct {
	data    string
	json    bool
	timeout time.Duration

	in       io.Reader
	out, err io.Writer
}

// run runs the command line and returns its exit code.
func run(ctx context.Context, args []string, in io.Reader, out, errs io.Writer) int {
	c := &cli{in: in, out: out, err: errs}
	root := c.root()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errs)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	e, ok := errors.AsType[*control.Error](err)
	if !ok { // of cobra's: the commands' own errors all have a code
		e = &control.Error{Text: err.Error(), Exit: control.ExitUsage, Hint: "see `peer --help`, or --help after any command"}
	}
	if c.json || slices.Contains(args, "--json") { // a bad flag before it hides it from the parser
		json.NewEncoder(errs).Encode(e)
		return e.Exit
	}
	fmt.Fprintln(errs, "peer:", e.Text)
	if e.Hint != "" {
		fmt.Fprintln(errs, "hint:", e.Hint)
	}
	return e.Exit
}

func (c *cli) root() *cobra.Command {
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
	root.AddCommand(c.upCmd(), c.idCmd(), c.keyCmd(), c.statusCmd(), c.doctorCmd(), c.versionCmd(), completionCmd(), c.meshCmd(), c.syncCmd(), c.chordCmd(), c.bridgeCmd(), c.lockCmd())
	return root
}

// group makes a command that only has subcommands say so.
func group(cmd *cobra.Command) {
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return fmt.Errorf("%q is no command of %q", args[0], cmd.CommandPath())
		}
		return cmd.Help()
	}
}

// defaultData is where a user's programs keep what survives restarts.
func defaultData() string {
	if dir := os.Getenv("PEER_DATA"); dir != "" {
		return dir
	}
	if dir := os.Getenv("XDG_STATE_HOME"); dir != "" {
		return filepath.Join(dir, "go2p")
	}
	switch runtime.GOOS {
	case "windows", "darwin", "ios":
		if dir, err := os.UserConfigDir(); err == nil {
			return filepath.Join(dir, "go2p")
		}
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "go2p-data"
	}
	return filepath.Join(home, ".local", "state", "go2p")
}

// failure gives an error that has no exit code the general one.
func failure(err error) error {
	if _, ok := errors.AsType[*control.Error](err); ok || err == nil {
		return err
	}
	return &control.Error{Text: err.Error(), Exit: control.ExitFailure}
}

func usage(format string, args ...any) error {
	return &control.Error{Text: fmt.Sprintf(format, args...), Exit: control.ExitUsage}
}

func (c *cli) client() *control.Client { return control.NewClient(c.data, c.timeout) }

// print writes one JSON object, or with a text form and no --json that.
func (c *cli) print(v any, text string) error {
	if c.json {
		return failure(json.NewEncoder(c.out).Encode(v))
	}
	if text != "" {
		_, err := fmt.Fprintln(c.out, text)
		return failure(err)
	}
	return nil
}

// tell sends a request that has no other answer than that it was done.
func (c *cli) tell(ctx context.Context, path string, q any) error {
	var ok control.OK
	if err := c.client().Call(ctx, path, q, &ok); err != nil {
		return err
	}
	return c.print(ok, "")
}

// say writes words for a person.
func (c *cli) say(format string, args ...any) {
	fmt.Fprintf(c.err, "peer: "+format+"\n", args...)
}
