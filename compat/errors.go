package compat

import (
	"errors"

	"github.com/p2p-today/go2p/compat/internal/legacy"
)

// Errors. More are LeaseError and RefusedError, and those of the network.
var (
	ErrClosed     = errors.New("node is closed")
	ErrKind       = errors.New("a node of this kind cannot do that")
	ErrVersion    = errors.New("this version cannot do that")
	ErrSlow       = errors.New("it does not read what it is told")
	ErrNoPeers    = legacy.ErrNoPeers
	ErrNotFound   = legacy.ErrNotFound
	ErrNoMajority = legacy.ErrNoMajority
	ErrNoMap      = legacy.ErrNoMap
	ErrFull       = legacy.ErrFull
	ErrValue      = legacy.ErrValue
	ErrTooLarge   = legacy.ErrTooLarge
	ErrSilent     = legacy.ErrSilent
	ErrSelf       = legacy.ErrSelf
	ErrTwice      = legacy.ErrTwice
	ErrWire       = legacy.ErrWire
	ErrLeased     = legacy.ErrLeased
)
