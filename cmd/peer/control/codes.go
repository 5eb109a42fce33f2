package control

import (
	"context"
	"errors"
	"net/http"

	"github.com/p2p-today/go2p/chord"
	"github.com/p2p-today/go2p/compat/bridge"
	"github.com/p2p-today/go2p/mesh"
	p2psync "github.com/p2p-today/go2p/sync"
)

// toError returns an error of the library with its code and details.
func toError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	e := &Error{Text: err.Error(), Code: codeOf(err)}
	if held, ok := errors.AsType[*p2psync.LeaseError](err); ok {
		e.Code, e.Owner, e.For = CodeLeaseHeld, held.Owner, held.For.Seconds()
	}
	if e.Code == CodeNotFound {
		e.Store = Sync
		if errors.Is(err, chord.ErrNotFound) {
			e.Store = Chord
		}
	}
	return e
}

// codeOf returns the code of the first error of the list that err wraps. Errors of the bridge, the table and the
// dictionary precede the deadline that they may wrap.
func codeOf(err error) Code {
	for _, c := range []struct {
		err  error
		code Code
	}{
		{bridge.ErrNoLink, CodeUnknownLink},
		{bridge.ErrLinkName, CodeLinkExists},
		{bridge.ErrNoBridge, CodeNoBridge},

		{chord.ErrNotFound, CodeNotFound},
		{chord.ErrRefused, CodeKMismatch},
		{chord.ErrRingFull, CodeRingFull},
		{chord.ErrNoPeers, CodeNoPeers},
		{chord.ErrNoMajority, CodeNoMajority},
		{chord.ErrTooLarge, CodeValueTooLarge},

		{p2psync.ErrNotFound, CodeNotFound},
		{p2psync.ErrRefused, CodeLeaseMismatch},
		{p2psync.ErrUnacknowledged, CodeUnacknowledged},
		{p2psync.ErrTooLarge, CodeValueTooLarge},

		{mesh.ErrNoCommonNetwork, CodeNoCommonNetwork},
		{mesh.ErrUnreachable, CodeUnreachable},
		{mesh.ErrTooLarge, CodeTooLarge},
		{context.DeadlineExceeded, CodeTimeout},
		{mesh.ErrAlone, CodeNoNeighbours},
	} {
		if errors.Is(err, c.err) {
			return c.code
		}
	}
	return CodeFailed
}

// status returns the HTTP status for a code.
func (c Code) status() int {
	switch c {
	case CodeBadRequest, CodeValueTooLarge:
		return http.StatusBadRequest
	case CodeTooLarge:
		return http.StatusRequestEntityTooLarge
	case CodeNotFound, CodeNotNeighbour, CodeUnknownMessage, CodeUnknownLink:
		return http.StatusNotFound
	case CodeTimeout, CodeNoNeighbours, CodeUnreachable, CodeUnacknowledged, CodeNoPeers, CodeNoMajority, CodeNoBridge:
		return http.StatusGatewayTimeout
	case CodeNoCommonNetwork, CodeLeaseMismatch, CodeKMismatch, CodeRingFull:
		return http.StatusForbidden
	case CodeLeaseHeld, CodeLockHeld:
		return http.StatusConflict
	}
	return http.StatusInternalServerError
}
