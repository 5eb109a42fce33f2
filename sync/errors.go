package sync

import (
	"errors"

	"github.com/p2p-today/go2p/internal/fanout"
	"github.com/p2p-today/go2p/mesh"
	"github.com/p2p-today/go2p/sync/internal/replica"
)

// ErrClosed says that the dictionary was closed.
var ErrClosed = errors.New("dictionary is closed")

// ErrNotFound says that there is no such key.
var ErrNotFound = replica.ErrNotFound

// A LeaseError says that a key cannot be written or deleted since another peer has its
// lease.
type LeaseError = replica.LeaseError

// ErrFull says that there is no room for a write.
var ErrFull = replica.ErrFull

// ErrTooLarge says that a key has more than MaxKey bytes, a value more than MaxValue, or
// an Update more than MaxUpdate.
var ErrTooLarge = errors.New("too large")

// ErrNoMap says that a delta was applied to a value that is no map.
var ErrNoMap = errors.New("the value is no map")

// TypeError says that a value is not of the data model.
type TypeError = mesh.TypeError

// ErrUnacknowledged says that a write was not acknowledged by as many members as were
// asked for, in time. It has happened all the same.
var ErrUnacknowledged = errors.New("not acknowledged")

// ErrRefused says that a neighbour has a dictionary with other leases, so that the two
// have nothing to do with each other. Both ends are told.
var ErrRefused = replica.ErrRefused

// A RefusedError is an ErrRefused with both sides' leases.
type RefusedError = replica.RefusedError

// ErrIdentityClash says that a number of this peer's writes was used for something
// else: its key is in use on two machines, or its directory came back from a backup. It
// goes on under another name, and has written again what it owns.
var ErrIdentityClash = errors.New("identity clash: this peer's key is used twice, or its data came from a backup")

// ErrStore says that a store cannot be used. The text says which, and what to do.
var ErrStore = errors.New("store")

// ErrLagged ends a subscriber that did not keep up with what happened.
var ErrLagged = fanout.ErrLagged

// errBusy says that a neighbour catches up with another one.
var errBusy = errors.New("busy with another replica")
