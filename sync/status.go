package sync

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/internal/metrics"
	"github.com/p2p-today/go2p/sync/internal/replica"
)

// A Status is a snapshot of a dictionary.
type Status struct {
	Writer   string        // this peer and its incarnation, as others see who wrote
	Lease    time.Duration // 0 without leasing
	Keys     int
	Bytes    int64 // of memory, roughly, that counts towards MaxBytes
	MaxBytes int64
	Full     bool   // more is known to others than there is room for here
	Waiting  int    // events that wait for earlier ones
	Term     uint64 // the highest seen
	Durable  bool   // it is kept on disk
	Failed   error  // why nothing can be written any more
	Peers    []PeerStatus

	Received uint64 // records in the batches that came
	Rejected uint64 // batches and messages that no honest peer sends
	Sessions uint64 // comparisons that this peer asked for
}

// A PeerStatus is how this replica stands with that of a neighbour.
type PeerStatus struct {
	Peer    peer.ID
	Level   time.Time // when the two were last found or made equal; zero for never
	Busy    bool      // they are being compared
	Refused error     // a *RefusedError if they have other leases
	Skew    time.Duration
}

// Status returns a snapshot, which is the caller's.
func (d *Dict) Status() Status {
	d.mu.RLock()
	has := d.replica.Usage()
	s := Status{
		Writer: d.replica.Writer, Lease: d.rules.Params().Duration(), Keys: has.Keys, Bytes: has.Bytes, MaxBytes: has.MaxBytes,
		Full: d.full, Waiting: has.Waiting, Term: has.Term, Durable: d.store != nil, Failed: d.failed,
		Received: d.stats.received.Load(), Rejected: d.stats.rejected.Load(), Sessions: d.stats.sessions.Load(),
	}
	d.mu.RUnlock()
	skews := map[peer.ID]time.Duration{}
	for _, p := range d.mesh.Peers() {
		skews[p.ID] = p.Skew
	}
	d.levelMu.Lock()
	for n := range d.levels.Neighbours() {
		id := peer.ID(n.Peer)
		s.Peers = append(s.Peers, PeerStatus{Peer: id, Level: n.InSync, Busy: n.Running, Refused: n.Refused, Skew: skews[id]})
	}
	d.levelMu.Unlock()
	slices.SortFunc(s.Peers, func(a, b PeerStatus) int { return strings.Compare(string(a.Peer), string(b.Peer)) })
	return s
}

// AwaitLevel returns when this replica has been level with a neighbour. Errors: those
// of the mesh's AwaitNeighbour, a *RefusedError if all neighbours have refused,
// ErrClosed, or the context's.
func (d *Dict) AwaitLevel(ctx context.Context) error {
	for {
		if err := d.mesh.AwaitNeighbour(ctx); err != nil {
			return err
		}
		d.levelMu.Lock()
		met, level, why := d.met, d.levels.InSync(), d.levels.Refusal()
		d.levelMu.Unlock()
		if level || why != nil {
			return why
		}
		select {
		case <-met:
		case <-d.ctx.Done():
			return ErrClosed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// stats counts what a dictionary does.
type stats struct{ received, rejected, sessions atomic.Uint64 }

// offer returns the counters and what else can be measured.
func (d *Dict) offer() *metrics.Set {
	gauge := func(f func(replica.Usage) float64) func() float64 {
		return func() float64 {
			d.mu.RLock()
			defer d.mu.RUnlock()
			return f(d.replica.Usage())
		}
	}
	s := metrics.New("sync", d.mesh.Network())
	s.Counter("received_total", "Records in the batches that came.", &d.stats.received)
	s.Counter("rejected_total", "Batches and messages that no honest peer sends.", &d.stats.rejected)
	s.Counter("sessions_total", "Comparisons that this peer asked for.", &d.stats.sessions)
	s.Gauge("keys", "Keys in the dictionary.", gauge(func(has replica.Usage) float64 { return float64(has.Keys) }))
	s.Gauge("bytes", "Memory that counts towards the limit.", gauge(func(has replica.Usage) float64 { return float64(has.Bytes) }))
	return s
}
