package sync

import (
	"context"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// A Status is a snapshot of a dictionary.
type Status struct {
	Writer   string        // the name under which this peer writes: its ID and incarnation
	Lease    time.Duration // 0 without leasing
	Keys     int
	Bytes    int64 // of memory, roughly, that counts towards MaxBytes
	MaxBytes int64
	Full     bool   // there is no room for records that others have
	Waiting  int    // events that wait for earlier ones
	Term     uint64 // the highest seen
	Durable  bool   // it is kept on disk
	Failed   error  // why nothing can be written; nil if it can
	Peers    []PeerStatus

	Received uint64 // records in batches of others
	Rejected uint64 // batches and messages that no honest peer sends
	Sessions uint64 // that this peer has asked for
}

// A PeerStatus is how this replica stands with that of a neighbour.
type PeerStatus struct {
	Peer    peer.ID
	InSync  time.Time     // when the two were last found or made equal; zero for never
	Busy    bool          // a session runs that this peer has asked for
	Refused error         // a *RefusedError if they have other leases
	Skew    time.Duration // of the neighbour's clock
}

// Status returns a snapshot, which is the caller's.
func (d *Dict) Status() Status {
	s := d.pipeline.status()
	s.Received, s.Rejected, s.Sessions = d.stats.received.Load(), d.stats.rejected.Load(), d.stats.sessions.Load()
	s.Peers = d.syncer.status()
	return s
}

// status returns what the pipeline knows of a status.
func (p *commitPipeline) status() Status {
	p.mu.RLock()
	defer p.mu.RUnlock()
	has := p.replica.Usage()
	return Status{
		Writer: p.replica.Writer, Lease: p.replica.Params().Duration(),
		Keys: has.Keys, Bytes: has.Bytes, MaxBytes: has.MaxBytes, Full: p.full, Waiting: has.Waiting, Term: has.Term, Durable: p.env.store != nil, Failed: p.failed,
	}
}

// status returns how this replica stands with its neighbours, sorted.
func (s *syncer) status() (list []PeerStatus) {
	skews := map[peer.ID]time.Duration{}
	for _, p := range s.mesh.Peers() {
		skews[p.ID] = p.Skew
	}
	neighbours, _ := s.neighbours()
	for _, n := range neighbours {
		id := peer.ID(n.Peer)
		list = append(list, PeerStatus{
			Peer: id, InSync: n.InSync, Busy: n.Running, Refused: n.Refused, Skew: skews[id],
		})
	}
	return list
}

// AwaitInSync returns when this replica has been in sync with a neighbour. Errors: those of
// Mesh.AwaitNeighbour, a *RefusedError if all neighbours have refused, ErrClosed, or the
// context's.
func (d *Dict) AwaitInSync(ctx context.Context) error { return d.syncer.awaitInSync(ctx) }
