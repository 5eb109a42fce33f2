// Package redial decides when a peer that should be a neighbour and is not is dialled again.
package redial

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/p2p-today/go2p/internal/backoff"
)

const (
	firstRedial = 1 * time.Second
	maxRedial   = 30 * time.Second
)

// Backoff returns the pause after so many failures in a row: 1 s, doubling to 30 s. It varies
// by a fifth, so that peers that lost each other at one moment do not come back at one moment.
func Backoff(failures int, rng *rand.Rand) time.Duration {
	return backoff.Policy{Min: firstRedial, Max: maxRedial, Less: 0.2, More: 0.2}.After(failures, rng)
}

// A Schedule has the peers that are dialled again until they are members, or until that is
// called off. Each is due, being dialled, or pausing after a failure.
type Schedule struct {
	rng     *rand.Rand
	targets map[string]*target
}

// New returns a schedule without peers.
func New(rng *rand.Rand) *Schedule {
	return &Schedule{rng: rng, targets: map[string]*target{}}
}

// Len returns the number of peers to dial.
func (s *Schedule) Len() int { return len(s.targets) }

type target struct {
	failures int
	next     time.Time
	dialling bool
}

// Add has a peer dialled at a time. A peer that was added before keeps its own.
func (s *Schedule) Add(at time.Time, id string) {
	if s.targets[id] == nil {
		s.targets[id] = &target{next: at}
	}
}

// Remove has a peer not dialled any more.
func (s *Schedule) Remove(id string) { delete(s.targets, id) }

// Effects is what a schedule wants done.
type Effects struct {
	Dial []string // peers, in order
}

// Advance returns the peers to dial now. Each is reported with Failed, or removed, before it
// comes up again.
func (s *Schedule) Advance(now time.Time) (e Effects) {
	for id, t := range s.targets {
		if !t.dialling && !now.Before(t.next) {
			t.dialling = true
			e.Dial = append(e.Dial, id)
		}
	}
	slices.Sort(e.Dial)
	return e
}

// Failed puts a peer off that was dialled in vain, longer each time.
func (s *Schedule) Failed(now time.Time, id string) {
	if t := s.targets[id]; t != nil {
		t.failures++
		t.dialling = false
		t.next = now.Add(Backoff(t.failures, s.rng))
	}
}

// Deadline returns when Advance has something to do next; zero if never.
func (s *Schedule) Deadline() time.Time {
	var first time.Time
	for _, t := range s.targets {
		if !t.dialling && (first.IsZero() || t.next.Before(first)) {
			first = t.next
		}
	}
	return first
}
