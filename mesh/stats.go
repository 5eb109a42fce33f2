package mesh

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/prometheus/client_golang/prometheus"
)

// maxErrors is how many of the last errors are kept for Status.
const maxErrors = 16

// stats counts what a mesh does.
type stats struct {
	sentBroadcasts, sentWhispers                                         atomic.Uint64
	gotBroadcasts, gotWhispers                                           atomic.Uint64
	droppedBroadcasts, lostBroadcasts, repairedBroadcasts, badSignatures atomic.Uint64
	collectors                                                           []prometheus.Collector

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
	s.Neighbours, s.Redialling = len(m.members), len(m.redials.targets)
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

// register offers the counters to the registerer of the options.
func (s *stats) register(m *Mesh) error {
	if m.opts.Registerer == nil {
		return nil
	}
	counter := func(name, help, label, value string, n *atomic.Uint64) {
		labels := prometheus.Labels{"network": m.name}
		if label != "" {
			labels[label] = value
		}
		s.collectors = append(s.collectors, prometheus.NewCounterFunc(prometheus.CounterOpts{
			Namespace: "go2p", Subsystem: "mesh", Name: name, Help: help, ConstLabels: labels,
		}, func() float64 { return float64(n.Load()) }))
	}
	const sent, received = "Messages sent.", "Messages handed to the handlers."
	counter("sent_total", sent, "kind", "broadcast", &s.sentBroadcasts)
	counter("sent_total", sent, "kind", "whisper", &s.sentWhispers)
	counter("received_total", received, "kind", "broadcast", &s.gotBroadcasts)
	counter("received_total", received, "kind", "whisper", &s.gotWhispers)
	counter("dropped_total", "Broadcasts crowded out of a full inbox.", "", "", &s.droppedBroadcasts)
	counter("repaired_total", "Broadcasts fetched from a neighbour.", "", "", &s.repairedBroadcasts)
	counter("lost_total", "Broadcasts that were nowhere to be had in time.", "", "", &s.lostBroadcasts)
	counter("bad_signatures_total", "Broadcasts whose signature does not hold.", "", "", &s.badSignatures)
	s.collectors = append(s.collectors, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "go2p", Subsystem: "mesh", Name: "neighbours", Help: "Members connected.",
		ConstLabels: prometheus.Labels{"network": m.name},
	}, func() float64 { return float64(len(m.memberIDs())) }))
	for i, c := range s.collectors {
		if err := m.opts.Registerer.Register(c); err != nil {
			s.collectors = s.collectors[:i]
			return fmt.Errorf("metrics: %w", err)
		}
	}
	return nil
}

func (s *stats) unregister(r prometheus.Registerer) {
	for _, c := range s.collectors {
		r.Unregister(c)
	}
}
