package mesh

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/internal/metrics"
)

// maxErrors is how many of the last errors are kept for Status.
const maxErrors = 16

// stats counts what a mesh does.
type stats struct {
	sentBroadcasts, sentWhispers                                         atomic.Uint64
	gotBroadcasts, gotWhispers                                           atomic.Uint64
	droppedBroadcasts, lostBroadcasts, repairedBroadcasts, badSignatures atomic.Uint64

	mu     sync.Mutex
	errors []PeerError
}

// Status is a snapshot of a mesh.
type Status struct {
	ID         peer.ID
	Network    string
	Private    bool          // it has a key
	Boot       uint64        // raised at each start
	Uptime     time.Duration // since Join
	Neighbours int
	Redialling int // peers dialled again and again until they are members

	SentBroadcasts, SentWhispers         uint64
	ReceivedBroadcasts, ReceivedWhispers uint64 // handed to the handlers; replies are whispers
	RepairedBroadcasts                   uint64 // fetched from a neighbour after gossip had lost them
	LostBroadcasts                       uint64 // reported as gaps, for they were nowhere to be had in time
	DroppedBroadcasts                    uint64 // crowded out of a full inbox, or beyond what one author may send, and reported as gaps
	BadSignatures                        uint64

	Errors []PeerError // the last 16, oldest first
}

// A PeerError is something that went wrong with a peer.
type PeerError struct {
	Time time.Time // by this peer's clock
	Peer peer.ID
	Err  error
}

// Status returns a snapshot, which is the caller's.
func (m *Mesh) Status() Status {
	s := Status{
		ID: m.ID(), Network: m.name, Private: m.opts.Key != nil, Boot: m.boot, Uptime: time.Since(m.epoch),
		SentBroadcasts: m.stats.sentBroadcasts.Load(), SentWhispers: m.stats.sentWhispers.Load(),
		ReceivedBroadcasts: m.stats.gotBroadcasts.Load(), ReceivedWhispers: m.stats.gotWhispers.Load(),
		RepairedBroadcasts: m.stats.repairedBroadcasts.Load(), LostBroadcasts: m.stats.lostBroadcasts.Load(),
		DroppedBroadcasts: m.stats.droppedBroadcasts.Load(), BadSignatures: m.stats.badSignatures.Load(),
	}
	m.mu.Lock()
	s.Neighbours, s.Redialling = len(m.members), m.redials.Len()
	m.mu.Unlock()
	m.stats.mu.Lock()
	s.Errors = slices.Clone(m.stats.errors)
	m.stats.mu.Unlock()
	return s
}

// note keeps an error for Status. One that a peer repeats moves to the end; it is
// fresh if it was not noted within the last minute.
func (s *stats) note(p peer.ID, err error) (fresh bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, fresh := time.Now(), true
	s.errors = slices.DeleteFunc(s.errors, func(e PeerError) bool {
		same := e.Peer == p && e.Err.Error() == err.Error()
		fresh = fresh && !(same && now.Sub(e.Time) < time.Minute)
		return same
	})
	if len(s.errors) == maxErrors {
		s.errors = s.errors[1:]
	}
	s.errors = append(s.errors, PeerError{now, p, err})
	return fresh
}

func (s *stats) received(msg Message) {
	if msg.Kind == Broadcast {
		s.gotBroadcasts.Add(1)
	} else {
		s.gotWhispers.Add(1)
	}
}

// newMetrics returns the counters and what else can be measured.
func (m *Mesh) newMetrics() *metrics.Set {
	set, s := metrics.New("mesh", m.name), &m.stats
	const sent, received = "Messages sent.", "Messages handed to the handlers."
	set.Counter("sent_total", sent, &s.sentBroadcasts, "kind", "broadcast")
	set.Counter("sent_total", sent, &s.sentWhispers, "kind", "whisper")
	set.Counter("received_total", received, &s.gotBroadcasts, "kind", "broadcast")
	set.Counter("received_total", received, &s.gotWhispers, "kind", "whisper")
	set.Counter("dropped_total", "Broadcasts crowded out of a full inbox.", &s.droppedBroadcasts)
	set.Counter("repaired_total", "Broadcasts fetched from a neighbour.", &s.repairedBroadcasts)
	set.Counter("lost_total", "Broadcasts that were nowhere to be had in time.", &s.lostBroadcasts)
	set.Counter("bad_signatures_total", "Broadcasts whose signature does not hold.", &s.badSignatures)
	set.Gauge("neighbours", "Members connected.", func() float64 { return float64(len(m.memberIDs())) })
	return set
}
