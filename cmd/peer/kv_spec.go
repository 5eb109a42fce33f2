package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/p2p-today/go2p/cmd/peer/control"
)

// A kvSpec is what distinguishes the commands of one key-value store from those of the other.
type kvSpec struct {
	store control.Store
	help  map[string]kvHelp // by command

	acks    bool // a write can wait for other members: --acks
	resumes bool // a watch can go on after a revision: --from
	detail  kvDetail

	count       func(context.Context, *cli) (int, error) // number of keys; nil if the peer does not list them in order
	importChunk int                                      // number of keys that import sets at once
	importRest  string                                   // format of what became of the keys that import could not set
}

// A kvHelp is the help of a command.
type kvHelp struct{ short, long string }

// A kvDetail is what get prints in addition to the value, if its flag is given.
type kvDetail struct {
	flag, usage string
	print       func(c *cli, item json.RawMessage) error
}

// A kv has the commands of one store.
type kv struct {
	*cli
	kvSpec
}

// command returns a command with the help of the spec.
func (k kv) command(name, args string, check cobra.PositionalArgs, run func(*cobra.Command, []string) error) *cobra.Command {
	use := name
	if args != "" {
		use += " " + args
	}
	h := k.help[name]
	return &cobra.Command{Use: use, Short: h.short, Long: h.long, Args: check, RunE: run}
}

// ackFlag adds --acks to a write, if the store has acknowledgements.
func (k kv) ackFlag(cmd *cobra.Command, n *int) {
	if k.acks {
		cmd.Flags().IntVar(n, "acks", 0, "wait until so many other members have it, on disk if they have one")
	}
}

// call sends a request to a path of the store.
func (k kv) call(ctx context.Context, end string, q, a any) error {
	return k.client().Call(ctx, k.store.Path(end), q, a)
}

// printValue prints a value for a person or a pipe.
func (k kv) printValue(v any) error {
	t, err := text(v)
	if err == nil {
		_, err = fmt.Fprintln(k.out, t)
	}
	return failure(err)
}
