package chord

import (
	"log/slog"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"
)

// Options are the optional settings of Open. The zero value of each field means the
// default stated with it.
type Options struct {
	// K gives the ring 2^K slots; no more peers than that can store. It must be the same
	// at all members. A member with another K has no part in this table, and both ends
	// are told. From 1 to MaxK. Default: 16.
	K int

	// Dir is a directory for the table alone, which one process uses at a time. What is
	// stored there survives the process. Default: the table is kept in memory.
	Dir string

	// MaxBytes limits what this peer stores: keys, values, and about 200 bytes for each
	// key. Beyond the limit the peer refuses new keys. Default: 1 GiB.
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
