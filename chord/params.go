package chord

import (
	"errors"
	"fmt"
)

// ErrRefused says that a neighbour has a table with another K, so that the two have
// nothing to do with each other. Both ends are told.
var ErrRefused = errors.New("another k")

// A RefusedError is an ErrRefused with both sides' K.
type RefusedError struct {
	Peer         string // peer ID
	Mine, Theirs int
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("%v: this peer's table has k=%d, that of %s k=%d", ErrRefused, e.Mine, e.Peer, e.Theirs)
}

func (e *RefusedError) Unwrap() error { return ErrRefused }
