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

// A PeerError is something that went wrong with a peer.
type PeerError struct {
	Time time.Time // by this peer's clock
	Peer peer.ID
	Err  error
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

// last returns the errors that are kept.
func (s *stats) last() []PeerError {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.errors)
}

// newMetrics returns the counters and what else can be measured.
func newMetrics(network string, s *stats, neighbours func() int) *metrics.Set {
	set := metrics.New("mesh", network)
	const sent, received = "Messages sent.", "Messages handed to the handlers."
	set.Counter("sent_total", sent, &s.sentBroadcasts, "kind", "broadcast")
	set.Counter("sent_total", sent, &s.sentWhispers, "kind", "whisper")
	set.Counter("received_total", received, &s.gotBroadcasts, "kind", "broadcast")
	set.Counter("received_total", received, &s.gotWhispers, "kind", "whisper")
	set.Counter("dropped_total", "Broadcasts crowded out of a full inbox.", &s.droppedBroadcasts)
	set.Counter("repaired_total", "Broadcasts fetched from a neighbour.", &s.repairedBroadcasts)
	set.Counter("lost_total", "Broadcasts that were nowhere to be had in time.", &s.lostBroadcasts)
	set.Counter("bad_signatures_total", "Broadcasts whose signature does not hold.", &s.badSignatures)
	set.Gauge("neighbours", "Members connected.", func() float64 { return float64(neighbours()) })
	return set
}
