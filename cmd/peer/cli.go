package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/p2p-today/go2p/cmd/peer/control"
)

// A cli is one run of the command: the flags that every command has, and the three streams.
type cli struct {
	data    string
	json    bool
	timeout time.Duration

	in       io.Reader
	out, err io.Writer
}

func (c *cli) client() *control.Client { return control.NewClient(c.data, c.timeout) }

// print writes v as one JSON object with --json, and else the text, unless that is empty.
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

// bounded returns the context of a command that has no time limit by default. It ends after --timeout if the user gave
// one.
func (c *cli) bounded(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	if cmd.Flags().Changed("timeout") {
		return context.WithTimeout(cmd.Context(), c.timeout)
	}
	return context.WithCancel(cmd.Context())
}

// request sends a request whose answer is only that it was done.
func (c *cli) request(ctx context.Context, path string, q any) error {
	var ok control.OK
	if err := c.client().Call(ctx, path, q, &ok); err != nil {
		return err
	}
	return c.print(ok, "")
}

// say writes a message for a person.
func (c *cli) say(format string, args ...any) {
	fmt.Fprintf(c.err, "peer: "+format+"\n", args...)
}

// group makes cmd a command that has only subcommands.
func group(cmd *cobra.Command) {
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return fmt.Errorf("%q is no command of %q", args[0], cmd.CommandPath())
		}
		return cmd.Help()
	}
}
