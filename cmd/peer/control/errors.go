package control

import (
	"context"
	"errors"
	"net/http"

	"github.com/p2p-today/go2p/mesh"
)

// Exit codes of the command line, which an Error carries from the peer to the
// command.
const (
	ExitFailure = 1
	ExitUsage   = 2
	ExitMissing = 3 // not found
	ExitTimeout = 4 // timeout, not delivered, nobody there
	ExitRefused = 5 // network, membership, leasing, k
	ExitLease   = 6 // lease held by another
	ExitNoPeer  = 7 // no peer running
)

// An Error says what went wrong, and where it is known what to do about it.
type Error struct {
	Text string `json:"error"`
	Hint string `json:"hint,omitempty"`
	Exit int    `json:"exit"`
}

func (e *Error) Error() string { return e.Text }

// toError gives an error of the library its exit code and hint.
func toError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	e := &Error{Text: err.Error(), Exit: ExitFailure}
	switch {
	case errors.Is(err, mesh.ErrNoCommonNetwork):
		e.Exit = ExitRefused
		e.Hint = "compare --network and --network-key of both peers, which `peer status` shows; the other peer has logged the same"
	case errors.Is(err, mesh.ErrUnreachable):
		e.Exit = ExitTimeout
		e.Hint = "see with `peer mesh peers` who is there; if that is nobody, `peer mesh connect ADDR`"
	case errors.Is(err, context.DeadlineExceeded):
		e.Exit = ExitTimeout
		e.Hint = "give it longer with --timeout"
	case errors.Is(err, mesh.ErrAlone):
		e.Exit = ExitTimeout
		e.Hint = "connect to a peer with `peer mesh connect ADDR`"
	}
	syncError(e, err)
	chordError(e, err)
	bridgeError(e, err)
	return e
}

// status is the HTTP status for an exit code.
func (e *Error) status() int {
	switch e.Exit {
	case ExitUsage:
		return http.StatusBadRequest
	case ExitMissing:
		return http.StatusNotFound
	case ExitTimeout:
		return http.StatusGatewayTimeout
	case ExitRefused:
		return http.StatusForbidden
	case ExitLease:
		return http.StatusConflict
	}
	return http.StatusInternalServerError
}
