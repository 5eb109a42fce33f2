package sync

import (
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/p2p-today/go2p/sync/internal/replica"
)

// Options are the optional settings of Open. The zero value of each field means the
// default stated with it.
type Options struct {
	// Dir is a directory for the dictionary alone, of which a process must have it for
	// itself: what was set survives the process. Default: the dictionary is kept in
	// memory, and comes back from other members.
	Dir string

	// Lease is for how long a key belongs to its writer after a write. It must be the
	// same at all members: those with another one have nothing to do with this
	// dictionary, and both sides are told. From MinLease to MaxLease, which are a
	// second and 366 days, in milliseconds.
	// Default: one hour.
	Lease time.Duration

	// NoLease lets everybody write every key at any time; the last write stays. It must
	// be the same at all members, too.
	NoLease bool

	// MaxBytes limits what keys and values take in memory, with what is kept of each.
	// It should be the same at all members: one that is full is not level with others.
	// Default: 1 GiB.
	MaxBytes int64

	// Logger gets the log. Default: silent.
	Logger *slog.Logger

	// Registerer gets the metrics, all named go2p_sync_…, with the network's name as a
	// label. Default: none.
	Registerer prometheus.Registerer

	files vfs.FS // of Dir; tests crash it
}

// ErrRefused says that a neighbour has a dictionary with other leases, so that the two
// have nothing to do with each other. Both ends are told.
var ErrRefused = replica.ErrRefused

// A RefusedError is an ErrRefused with both sides' leases.
type RefusedError = replica.RefusedError

const (
	defaultLease    = time.Hour
	defaultMaxBytes = 1 << 30
)

// Limits of a lease.
const (
	MinLease = time.Second
	MaxLease = replica.MaxAge
)
