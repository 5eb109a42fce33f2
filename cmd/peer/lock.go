package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/p2p-today/go2p/cmd/peer/control"
)

// stopping is how long a command whose lock is lost may take to end after SIGTERM.
const stopping = 5 * time.Second

func lockCmd(c *cli) *cobra.Command {
	return &cobra.Command{
		Use:   "lock KEY -- COMMAND…",
		Short: "Runs a command while this peer holds the lease of a key",
		Long: `lock takes a key of the dictionary, waiting for it up to --timeout, runs the command, and
removes the key when that has ended. The lease is renewed meanwhile; when it is lost, the command
gets SIGTERM, and SIGKILL five seconds later. lock exits with the command's code.

The command finds the lease's term in PEER_TERM. It rises with each holder: who guards a thing
should refuse a lower term than it has seen, since in a network that has fallen apart each part
may have a holder.`,
		Example: `  peer lock nightly-report -- ./report.sh`,
		Args:    cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return lock(cmd.Context(), c, args[0], args[1:])
		},
	}
}

func lock(ctx context.Context, c *cli, key string, args []string) error {
	q, err := keyRequest(key)
	if err != nil {
		return err
	}
	held, release := context.WithCancel(ctx)
	defer release()
	states := make(chan control.Locked)
	failed := make(chan error, 1)
	go func() {
		defer close(states)
		for st, err := range control.Lines[control.Locked](held, c.client(), control.PathSyncLock, q) {
			if err != nil {
				failed <- err
				return
			}
			select {
			case states <- st:
			case <-held.Done():
				return
			}
		}
	}()
	st, ok := <-states
	if !ok {
		select {
		case err := <-failed:
			return err
		default:
			return &exitError{Text: "the peer went down", Exit: exitNoPeer}
		}
	}
	run := exec.Command(args[0], args[1:]...)
	run.Env = append(os.Environ(), fmt.Sprintf("PEER_TERM=%d", st.Term))
	run.Stdin, run.Stdout, run.Stderr = c.in, c.out, c.err
	if err := run.Start(); err != nil {
		return failure(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- run.Wait() }()
	select {
	case err = <-ended:
	case <-states: // lost, or the peer went down
		stop(run, ended)
		return &exitError{Text: fmt.Sprintf("the lease of %q was lost, and the command stopped", key), Exit: exitLease}
	case <-ctx.Done():
		stop(run, ended)
		return &exitError{Text: "interrupted", Exit: exitFailure}
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return &exitError{Text: fmt.Sprintf("%s: %v", args[0], exit), Exit: max(exit.ExitCode(), 1)}
	}
	return failure(err)
}

// stop ends a command with SIGTERM, and after a while with SIGKILL.
func stop(run *exec.Cmd, ended <-chan error) {
	run.Process.Signal(syscall.SIGTERM)
	select {
	case <-ended:
	case <-time.After(stopping):
		run.Process.Kill()
		<-ended
	}
}
