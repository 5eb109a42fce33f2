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

// A LeaseError says that a key cannot be written or deleted, because another owner has its
// lease.
type LeaseError = replica.LeaseError

// ErrFull says that there is no room for a write: delete something, or raise MaxBytes at all
// members.
var ErrFull = replica.ErrFull

// ErrTooLarge says that a key has more than MaxKey bytes, a value more than MaxValue, or
// an Update more than MaxUpdate.
var ErrTooLarge = errors.New("too large")

// ErrNoMap says that the value of a key, to which a delta is applied, is no map.
var ErrNoMap = errors.New("the value is no map")

// A TypeError says that a value is not of the data model.
type TypeError = mesh.TypeError

// ErrUnacknowledged says that too few members acknowledged a write in time. The write has
// happened all the same.
var ErrUnacknowledged = errors.New("not acknowledged")

// ErrRefused says that a neighbour has a dictionary with other leases, so that the two do not
// exchange anything. Both sides report it.
var ErrRefused = replica.ErrRefused

// A RefusedError is an ErrRefused with the leases of both sides.
type RefusedError = replica.RefusedError

// ErrIdentityClash says that another peer has written under the name of this one: its key is
// in use on two machines, or its directory came back from a backup. This peer goes on under
// another name, and has written again what it owns.
var ErrIdentityClash = errors.New("identity clash: this peer's key is used twice, or its data came from a backup")

// ErrStore says that a store cannot be used. The text says which store, and what to do.
var ErrStore = errors.New("store")

// ErrLagged ends a subscriber that is too far behind.
var ErrLagged = fanout.ErrLagged

// errBusy says that a neighbour catches up with a third replica.
var errBusy = errors.New("busy with another replica")
