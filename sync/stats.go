package sync

import (
	"sync/atomic"

	"github.com/p2p-today/go2p/internal/metrics"
	"github.com/p2p-today/go2p/sync/internal/replica"
)

// stats counts what a dictionary does.
type stats struct{ received, rejected, sessions atomic.Uint64 }

// newMetrics returns the counters, and what else can be measured.
func newMetrics(network string, n *stats, usage func() replica.Usage) *metrics.Set {
	s := metrics.New("sync", network)
	s.Counter("received_total", "Records in the batches that came.", &n.received)
	s.Counter("rejected_total", "Batches and messages that no honest peer sends.", &n.rejected)
	s.Counter("sessions_total", "Comparisons that this peer asked for.", &n.sessions)
	s.Gauge("keys", "Keys in the dictionary.", func() float64 { return float64(usage().Keys) })
	s.Gauge("bytes", "Memory that counts towards the limit.", func() float64 { return float64(usage().Bytes) })
	return s
}
