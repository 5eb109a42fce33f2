package sync

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/p2p-today/go2p/sync/internal/replica"
)

// Options are the optional settings of Open. The zero value of each field means the
// default stated with it.
type Options struct {
	// Dir is a directory for the dictionary alone, in which what was set survives the
	// process. One process at a time can have it open.
	// Default: the dictionary is in memory, and comes back from other members.
	Dir string

	// Lease is for how long a key belongs to its writer after a write: from MinLease to
	// MaxLease, in whole milliseconds. It must be the same at all members. Members with
	// another lease do not share the dictionary, and both sides report an EventRefused.
	// Default: one hour.
	Lease time.Duration

	// NoLease lets everybody write every key at any time; the last write stays. It must
	// be the same at all members, too.
	NoLease bool

	// MaxBytes limits the memory of keys and values, with about 360 bytes for each. It
	// should be the same at all members: a replica that is full is not in sync.
	// Default: 1 GiB.
	MaxBytes int64

	// Logger gets the log. Default: silent.
	Logger *slog.Logger

	// Registerer gets the metrics, all named go2p_sync_…, with the network's name as a
	// label. Default: none.
	Registerer prometheus.Registerer

	files     vfs.FS                      // of Dir; tests crash it
	wallClock func(self string) time.Time // tests set it wrong
}

func (o *Options) setDefaults() {
	if o.Lease == 0 {
		o.Lease = defaultLease
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = defaultMaxBytes
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.files == nil {
		o.files = vfs.Default
	}
	if o.wallClock == nil {
		o.wallClock = func(string) time.Time { return time.Now() }
	}
}

func (o *Options) check() error {
	if o.Lease < MinLease || o.Lease > MaxLease || o.Lease%time.Millisecond != 0 {
		return fmt.Errorf("a lease of %v: it is from %v to %v, in milliseconds", o.Lease, MinLease, MaxLease)
	}
	return nil
}

const (
	defaultLease    = time.Hour
	defaultMaxBytes = 1 << 30
)

// Limits of a lease.
const (
	MinLease = time.Second
	MaxLease = replica.MaxAge
)

// Limits of a write.
const (
	MaxKey   = replica.MaxKey   // bytes
	MaxValue = replica.MaxValue // bytes of the value in CBOR
)

// MaxUpdate is the most bytes of keys and values in one Update.
const MaxUpdate = 64 << 20
