package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/p2p-today/go2p/cmd/peer/control"
)

// The exit codes.
const (
	exitFailure = 1
	exitUsage   = 2
	exitMissing = 3 // not found
	exitTimeout = 4 // timeout, not delivered, nobody there
	exitRefused = 5 // network, membership, leases, k
	exitLease   = 6 // lease held by another
	exitNoPeer  = 7 // no peer running
)

// An exitError ends a command with an exit code. It is also what --json prints of an error.
type exitError struct {
	Text string `json:"error"`
	Hint string `json:"hint,omitempty"` // what to do, where it is known
	Exit int    `json:"exit"`
}

// Error returns the text.
func (e *exitError) Error() string { return e.Text }

// usage returns an error about the command line.
func usage(format string, args ...any) error {
	return &exitError{Text: fmt.Sprintf(format, args...), Exit: exitUsage}
}

// failure returns err with the exit code 1, if it has none yet.
func failure(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*exitError](err); ok {
		return err
	}
	if _, ok := errors.AsType[*control.Error](err); ok {
		return err
	}
	return &exitError{Text: err.Error(), Exit: exitFailure}
}

// explain returns any error as the user sees it.
func explain(err error) *exitError {
	if e, ok := errors.AsType[*exitError](err); ok {
		return e
	}
	if e, ok := errors.AsType[*control.Error](err); ok {
		exit, hint := remedy(e)
		return &exitError{Text: e.Text, Hint: hint, Exit: exit}
	}
	// cobra's own errors are about usage. Errors of the commands have an exit code or a code.
	return &exitError{Text: err.Error(), Hint: "see `peer --help`, or --help after any command", Exit: exitUsage}
}

// remedy returns the exit code for an error of the control API, and what the user can do about it, if that is known.
func remedy(e *control.Error) (exit int, hint string) {
	switch e.Code {
	case control.CodeNotRunning:
		return exitNoPeer, "start one with `peer up`, or name another directory with --data"
	case control.CodeBadRequest, control.CodeValueTooLarge:
		return exitUsage, ""
	case control.CodeTimeout:
		return exitTimeout, "give it longer with --timeout"

	case control.CodeNoNeighbours:
		return exitTimeout, "connect to a peer with `peer mesh connect ADDR`"
	case control.CodeNotNeighbour:
		return exitMissing, "`peer mesh peers` lists the neighbours"
	case control.CodeUnreachable:
		return exitTimeout, "see with `peer mesh peers` who is there; if that is nobody, `peer mesh connect ADDR`"
	case control.CodeNoCommonNetwork:
		return exitRefused, "compare --network and --network-key of both peers, which `peer status` shows; " +
			"the other peer has logged the same"
	case control.CodeUnknownMessage:
		return exitMissing, "`peer mesh recv --json` shows the id of each message"

	case control.CodeNotFound:
		if e.Store == control.Chord {
			return exitMissing, "`peer chord keys` lists what is there"
		}
		return exitMissing, "`peer sync keys` lists what is there; `peer sync status` says with whom this peer is level"
	case control.CodeLeaseHeld:
		left := time.Duration(e.For * float64(time.Second)).Round(time.Second)
		return exitLease, fmt.Sprintf("wait %v, or have %s delete it; `peer sync lease` shows whose a key is", left, e.Owner)
	case control.CodeLockHeld:
		return exitLease, "wait longer with --timeout"
	case control.CodeLeaseMismatch:
		return exitRefused, "start all peers of a network with the same --lease, or all with --no-lease"
	case control.CodeUnacknowledged:
		return exitTimeout, "see with `peer sync status` who is there"
	case control.CodeKMismatch:
		return exitRefused, "start all peers of a network with the same --k"
	case control.CodeRingFull:
		return exitRefused, "this peer reads and writes all the same; a larger --k at all peers makes room"
	case control.CodeNoPeers:
		return exitTimeout, "have a peer store with `peer chord join`; `peer mesh peers` lists who is there"
	case control.CodeNoMajority:
		return exitTimeout, "see with `peer chord ring` who is there; give it longer with --timeout"

	case control.CodeUnknownLink:
		return exitMissing, "`peer bridge ls` lists them"
	case control.CodeLinkExists:
		return exitFailure, "give it another with name= in the URL"
	case control.CodeNoBridge:
		return exitTimeout, "`peer bridge add URL` makes this peer one"
	}
	return exitFailure, ""
}
