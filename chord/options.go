package chord

import (
	"log/slog"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"
)

// Options are the optional settings of Open. The zero value of each field means the
// default stated with it.
type Options struct {
	// K gives the ring 2^K slots, and so the most peers that can store. It must be the
	// same at all members: those with another one have nothing to do with this table,
	// and both sides are told. From 1 to MaxK. Default: 16.
	K int

	// Dir is a directory for the table alone, of which a process must have it for
	// itself: what is stored here survives the process. Default: it is kept in memory.
	Dir string

	// MaxBytes limits what is stored here: keys and values with what is kept of each.
	// Beyond it new keys are refused by this peer. Default: 1 GiB.
	MaxBytes int64

	// Logger gets the log. Default: silent.
	Logger *slog.Logger

	// Registerer gets the metrics, all named go2p_chord_…, with the network's name as a
	// label. Default: none.
	Registerer prometheus.Registerer

	files vfs.FS // of Dir; tests crash it
}

// MaxK is the largest K.
const MaxK = 32

const (
	defaultK        = 16
	defaultMaxBytes = 1 << 30
)
