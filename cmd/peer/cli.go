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

// bounded returns the context of a command, which ends after --timeout if one was given: some commands go on for ever, or
// for as long as it takes, without.
func (c *cli) bounded(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	if cmd.Flags().Changed("timeout") {
		return context.WithTimeout(cmd.Context(), c.timeout)
	}
	return context.WithCancel(cmd.Context())
}

// request sends a request that has no other answer than that it was done.
func (c *cli) request(ctx context.Context, path string, q any) error {
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
