// Package schedule decides when a node stabilizes its part of the ring, when it fetches the
// keys that it has become a replica of (backfill), and when it gives away those that it is no
// replica of any more (hand-off).
package schedule

import (
	"slices"
	"time"

	"github.com/p2p-today/go2p/chord/internal/ring"
)

const (
	roundPause   = time.Second            // between two rounds of stabilization while the ring changes
	calmRounds   = 8                      // without a change, until a round takes as many times as long
	growPause    = 200 * time.Millisecond // from a change to the backfill, since others may follow
	lossPause    = 5 * time.Second        // from the loss of a neighbour to the backfill
	handOffPause = 10 * time.Second       // between two hand-offs
	settleTime   = 30 * time.Second       // without a change, until two rings count as one
	maxGreet     = 4 * ring.Listed
)

// Effects are what is due. The caller performs them.
type Effects struct {
	Greet    []ring.Node
	Look     []*ring.Lookup // the caller takes the owner's view with Ring.Meet
	Announce bool           // nobody is known to store: all neighbours in the mesh are to be greeted
	Rejoin   bool           // another node keeps the slot of this one, which has to take another
	Backfill bool           // begins; the caller tells of its end with Backfilled
	HandOff  bool           // begins; the caller tells of its end with HandedOff
}

// A Schedule is what one node has to do, and when. What it has to fetch or to give away
// follows from its ring, of which each change is told with Took.
//
// Invariant: complete is a reach within which the node stores all that the replicas before
// it have stored.
type Schedule struct {
	ring     *ring.Ring
	complete ring.Reach

	greet   []ring.Node // were heard of
	rejoin  bool
	round   time.Time // of stabilization, the next
	calm    int       // rounds in which the neighbours did not change
	lost    time.Time // when a neighbour was, last
	handOff time.Time // the next

	backfill    time.Time // the next; zero if nothing is to be fetched
	backfilling bool
	handingOff  bool
	compareAll  bool      // the next backfill compares also what is complete, since two rings have met
	merging     time.Time // until when that is to be repeated
}

// New returns the schedule of a node, whose first round is due at once.
func New(r *ring.Ring) *Schedule { return &Schedule{ring: r} }

// Joined tells that the node has a slot, and of what it has all keys.
func (s *Schedule) Joined(now time.Time, complete ring.Reach) {
	s.complete, s.calm, s.backfill = complete, 0, now
}

// Left tells that the node has given up its slot.
func (s *Schedule) Left() { s.complete, s.backfill = ring.Reach{}, time.Time{} }

// Took tells what a call of the ring has brought.
func (s *Schedule) Took(now time.Time, e ring.Effects) {
	for _, n := range e.Greet {
		if len(s.greet) < maxGreet && !slices.Contains(s.greet, n) {
			s.greet = append(s.greet, n)
		}
	}
	if e.Shaken {
		s.complete.Back = 0
	}
	if e.Moved {
		s.calm = 0
		if now.Before(s.merging) { // two rings still grow together
			s.merging = now.Add(settleTime)
		}
	}
	if e.Lost {
		s.calm, s.lost = 0, now
	}
	s.rejoin = s.rejoin || e.Evicted
	s.reshape(now)
	if e.Merged {
		s.compareAll, s.merging = true, now.Add(settleTime)
		if s.backfill.IsZero() {
			s.backfill = now.Add(lossPause)
		}
		if e.Yielded {
			s.complete, s.backfill = ring.Reach{}, now
		}
	}
}

// reshape notes that what this node is a replica of may have changed.
func (s *Schedule) reshape(now time.Time) {
	w := s.ring.Window()
	if len(s.ring.Preds()) == ring.Listed || s.ring.ListsAll() || !s.ring.Stores() { // else it is smaller only for now
		s.complete = s.complete.Common(w)
	}
	if s.Lacking() && s.backfill.IsZero() && !s.backfilling {
		s.backfill = now.Add(growPause)
		if now.Sub(s.lost) < lossPause {
			s.backfill = s.lost.Add(lossPause)
		}
	}
}

// Deadline returns when Advance has something to do. That is in the past if it has now.
func (s *Schedule) Deadline() time.Time {
	next := s.round
	if len(s.greet) > 0 || s.rejoin {
		return time.Time{}
	}
	if !s.ring.Stores() {
		return next
	}
	if !s.backfill.IsZero() && !s.backfilling && s.backfill.Before(next) {
		next = s.backfill
	}
	if !s.handingOff && s.handOff.Before(next) {
		next = s.handOff
	}
	return next
}

// Advance returns what is due.
func (s *Schedule) Advance(now time.Time) (e Effects) {
	if !now.Before(s.round) {
		e.Announce = len(s.ring.Known()) == 0 // all are gone that were known to store, but others may
		s.stabilize(now, &e)
	}
	e.Greet, s.greet = append(e.Greet, s.greet...), nil
	e.Rejoin, s.rejoin = s.rejoin, false
	s.reshape(now)
	if !s.ring.Stores() {
		return e
	}
	if !s.backfill.IsZero() && !s.backfilling && !now.Before(s.backfill) {
		s.backfilling, s.backfill, e.Backfill = true, time.Time{}, true
	}
	if !s.handingOff && !now.Before(s.handOff) {
		s.handingOff, e.HandOff = true, true
	}
	return e
}

// stabilize does one round. Neighbours on the ring are most often neighbours in the mesh,
// which tells when they are gone: while nothing changes, there is little to do.
func (s *Schedule) stabilize(now time.Time, e *Effects) {
	pause := roundPause
	if s.calm++; s.calm >= calmRounds {
		pause *= calmRounds
	}
	s.round = now.Add(pause)
	r := s.ring.Stabilize()
	e.Greet, e.Look = r.Greet, r.Look
}

// A Backfill is what one backfill fetches: for the node that it began with, what is in the
// target and not in what it has.
type Backfill struct {
	Self         ring.Node
	Have, Target ring.Reach
}

// Begin returns what the backfill that has begun is to fetch now.
func (s *Schedule) Begin() Backfill {
	b := Backfill{s.ring.Self(), s.complete, s.ring.Window()}
	if s.compareAll {
		b.Have, s.compareAll = ring.Reach{}, false
	}
	return b
}

// Done tells that all of a backfill was fetched. Only what is still the node's counts.
func (s *Schedule) Done(b Backfill) {
	if s.ring.Stores() && s.ring.Self() == b.Self {
		s.complete = b.Target.Common(s.ring.Window())
	}
}

// Backfilled tells that a backfill is over. If it failed, it is tried again soon.
func (s *Schedule) Backfilled(now time.Time, failed bool) {
	s.backfilling = false
	if failed {
		s.backfill = now.Add(lossPause)
	}
	if now.Before(s.merging) {
		s.compareAll, s.backfill = true, now.Add(2*lossPause)
	}
	s.reshape(now)
}

// HandedOff tells that a hand-off is over.
func (s *Schedule) HandedOff(now time.Time) {
	s.handingOff, s.handOff = false, now.Add(handOffPause)
}

// Lacking reports whether the node lacks keys that it is a replica of.
func (s *Schedule) Lacking() bool {
	return s.ring.Stores() && !s.ring.Window().Within(s.complete)
}

// Has reports whether the node has all keys of a position that it is a replica of.
func (s *Schedule) Has(p ring.Slot) bool { return s.ring.Covers(s.complete, p) }

// Settled reports whether there is nothing to fetch, now or later.
func (s *Schedule) Settled() bool {
	return !s.Lacking() && s.backfill.IsZero() && !s.backfilling
}
