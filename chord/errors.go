package chord

import (
	"errors"
	"fmt"

	"github.com/p2p-today/go2p/mesh"
)

// Errors of a table, told apart with errors.Is.
var (
	ErrClosed     = errors.New("table is closed")
	ErrNotFound   = errors.New("no such key")
	ErrNoPeers    = errors.New("nobody stores: no peer of the table is known")
	ErrNoMajority = errors.New("no majority of the key's homes has answered")
	ErrRingFull   = errors.New("the ring is full: all its slots are taken")
	ErrFull       = errors.New("the key's homes have no room")
	ErrTooLarge   = errors.New("too large")
	ErrNoMap      = errors.New("the value is no map")
)

// ErrStore says that a store cannot be used. The text says which, and what to do.
var ErrStore = errors.New("store")

// ErrRefused says that a neighbour has a table with another K, so that the two have
// nothing to do with each other. Both ends are told.
var ErrRefused = errors.New("another k")

// TypeError says that a value is not of the data model.
type TypeError = mesh.TypeError

// A RefusedError is an ErrRefused with both sides' K.
type RefusedError struct {
	Peer         string // peer ID
	Mine, Theirs int
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("%v: this peer's table has k=%d, that of %s k=%d", ErrRefused, e.Mine, e.Peer, e.Theirs)
}

func (e *RefusedError) Unwrap() error { return ErrRefused }

// errMalformed says that a peer has sent what no honest peer sends.
var errMalformed = errors.New("wrong form")
