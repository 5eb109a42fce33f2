// Package schedule decides when a replica begins a session with which neighbour.
//
// The package computes and touches nothing: every call takes the time, and the caller
// begins the sessions that [Schedule.Advance] returns.
package schedule

import (
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/p2p-today/go2p/internal/backoff"
)

// The times of the schedule.
const (
	gapPause    = 200 * time.Millisecond // what seems to be missing may be on its way
	newsPause   = 100 * time.Millisecond // from news of one neighbour to the session with another
	newsPace    = time.Second            // between two sessions with one neighbour because of news, at least
	olderPause  = 500 * time.Millisecond // from meeting to the session, for the replica that is older
	olderAge    = 2 * time.Second        // of such a replica
	quietPause  = time.Second            // from the last change to the session with some neighbour
	slowPace    = 15 * time.Second       // between sessions when nothing happens
	bulkPause   = 250 * time.Millisecond // from records that came to the session with another neighbour
	maxSessions = 4                      // that this replica has asked for
)

// afterFailure is the pause after sessions that failed.
var afterFailure = backoff.Policy{Min: time.Second, Max: 30 * time.Second, More: 0.5}

// A Schedule decides when to begin a session with which neighbour. A session of equal
// replicas costs next to nothing, so in doubt there is one. A replica that has much to
// catch up with does so with one neighbour at a time.
//
// A Schedule is not safe for concurrent use.
type Schedule struct {
	rng     *rand.Rand
	born    time.Time
	peers   map[string]*neighbour
	running int       // sessions
	brought time.Time // when records came last, or a session began
	quiet   time.Time // when to begin a session with any neighbour after a change; zero for never
	slow    time.Time // likewise, if nothing happens
}

type neighbour struct {
	due      time.Time // of the next session; zero for never
	started  time.Time // the last session
	running  bool      // a session
	relayed  bool      // topics pass it over
	failures int       // of sessions in a row
	inSync   time.Time // when the two were last found or made equal
	refused  error     // why there is nothing to compare
}

// Effects are what is to be done at a moment.
type Effects struct {
	Begin []string // neighbours to begin a session with
}

// An Outcome is how a session ended.
type Outcome int

// The outcomes.
const (
	InSync  Outcome = iota // the two are equal
	Busy                   // the other replica catches up with a third one
	Failed                 // the stream or the other replica did
	Refused                // the other replica has other parameters
)

// New returns the schedule of a replica that was started now.
func New(now time.Time, rng *rand.Rand) *Schedule {
	return &Schedule{rng: rng, born: now, peers: map[string]*neighbour{}, slow: now.Add(slowPace)}
}

// Join notes a neighbour that is there anew, or has begun to take part. Of two that meet,
// the younger one asks first, since it has more to learn.
func (s *Schedule) Join(now time.Time, peer string) {
	p := s.peers[peer]
	if p == nil {
		p = &neighbour{}
		s.peers[peer] = p
	}
	pause := time.Duration(0)
	if now.Sub(s.born) > olderAge {
		pause = olderPause
	}
	p.failures = 0
	p.soon(now.Add(pause))
}

// Leave forgets a neighbour.
func (s *Schedule) Leave(peer string) { delete(s.peers, peer) }

// soon makes the next session due at a time, if it is not due before.
func (p *neighbour) soon(t time.Time) {
	if p.due.IsZero() || t.Before(p.due) {
		p.due = t
	}
}

// Gap notes that a neighbour knows of something that is missing here.
func (s *Schedule) Gap(now time.Time, peer string) {
	if p := s.peers[peer]; p != nil {
		p.soon(now.Add(gapPause))
	}
}

// Changed notes that the replica has changed, and reports whether the deadline is sooner
// than before.
func (s *Schedule) Changed(now time.Time) (sooner bool) {
	sooner = s.quiet.IsZero()
	s.quiet = now.Add(quietPause)
	for _, p := range s.peers {
		if p.relayed && p.due.IsZero() && p.refused == nil {
			p.soon(now.Add(newsPause))
			sooner = true
		}
	}
	return sooner
}

// News notes that one neighbour has brought records of which the others do not hear by
// themselves.
func (s *Schedule) News(now time.Time, from string) {
	for id, p := range s.peers {
		if id == from || p.refused != nil {
			continue
		}
		due := now.Add(newsPause)
		if free := p.started.Add(newsPace); due.Before(free) {
			due = free
		}
		p.soon(due)
	}
}

// Received notes that records came in a session that this replica has asked for.
func (s *Schedule) Received(now time.Time) { s.brought = now }

// Busy reports whether this replica catches up with a neighbour, so that others should
// wait.
func (s *Schedule) Busy(now time.Time) bool {
	return s.running > 0 && now.Sub(s.brought) < bulkPause
}

// Advance returns what is to be done now.
func (s *Schedule) Advance(now time.Time) (out Effects) {
	for {
		peer, ok := s.next(now)
		if !ok {
			return out
		}
		out.Begin = append(out.Begin, peer)
	}
}

// next begins the session that has been due for the longest time. It reports false if
// none can begin now.
func (s *Schedule) next(now time.Time) (peer string, ok bool) {
	if !s.quiet.IsZero() && !now.Before(s.quiet) {
		s.quiet = time.Time{}
		s.any(now)
	}
	if !now.Before(s.slow) {
		s.slow = now.Add(slowPace + time.Duration(s.rng.Int64N(int64(slowPace/4))))
		s.any(now)
	}
	if s.running >= maxSessions || s.Busy(now) {
		return "", false
	}
	var first *neighbour
	for id, p := range s.peers {
		if p.running || p.due.IsZero() || now.Before(p.due) {
			continue
		}
		if first == nil || p.due.Before(first.due) || p.due.Equal(first.due) && id < peer {
			peer, first = id, p
		}
	}
	if first == nil {
		return "", false
	}
	first.due, first.running, first.started = time.Time{}, true, now
	s.running++
	s.brought = now
	return peer, true
}

// any makes the session with some neighbour due.
func (s *Schedule) any(now time.Time) {
	if ids := slices.Sorted(maps.Keys(s.peers)); len(ids) > 0 {
		s.peers[ids[s.rng.IntN(len(ids))]].soon(now)
	}
}

// Done notes the end of a session that Advance has begun. The error says why the
// neighbour refused.
func (s *Schedule) Done(now time.Time, peer string, how Outcome, why error) {
	s.running--
	p := s.peers[peer]
	if p == nil {
		return
	}
	p.running = false
	switch how {
	case Busy:
		p.soon(now.Add(bulkPause + time.Duration(s.rng.Int64N(int64(bulkPause)))))
	case Failed:
		p.failures++
		p.soon(now.Add(afterFailure.After(p.failures, s.rng)))
	default:
		s.Found(now, peer, why)
	}
}

// Found notes what a session has shown, whichever side asked for it: that the two are in
// sync, or why they never will be.
func (s *Schedule) Found(now time.Time, peer string, why error) {
	if p := s.peers[peer]; p != nil {
		p.failures, p.refused = 0, why
		if why == nil {
			p.inSync = now
		}
	}
}

// Refuse notes why a neighbour and this replica never will be in sync. It reports whether
// the same was known.
func (s *Schedule) Refuse(peer string, why error) (known bool) {
	p := s.peers[peer]
	if p == nil {
		return false
	}
	known = p.refused != nil && p.refused.Error() == why.Error()
	p.refused = why
	return known
}

// SetRelayed notes which neighbours topics pass over.
func (s *Schedule) SetRelayed(relayed func(peer string) bool) {
	for id, p := range s.peers {
		p.relayed = relayed(id)
	}
}

// Running reports whether a session runs that this replica has asked a neighbour for.
func (s *Schedule) Running(peer string) bool {
	p := s.peers[peer]
	return p != nil && p.running
}

// A Neighbour is how this replica stands with a neighbour.
type Neighbour struct {
	Peer    string
	InSync  time.Time // when the two were last found or made equal; zero for never
	Running bool      // a session that this replica has asked for
	Refused error     // why there is nothing to compare
}

// Len returns the number of neighbours.
func (s *Schedule) Len() int { return len(s.peers) }

// Neighbours yields all neighbours, in no order.
func (s *Schedule) Neighbours() iter.Seq[Neighbour] {
	return func(yield func(Neighbour) bool) {
		for id, p := range s.peers {
			if !yield(Neighbour{Peer: id, InSync: p.inSync, Running: p.running, Refused: p.refused}) {
				return
			}
		}
	}
}

// InSync reports whether this replica is or was in sync with a neighbour that is there.
func (s *Schedule) InSync() bool {
	for _, p := range s.peers {
		if !p.inSync.IsZero() {
			return true
		}
	}
	return false
}

// Deadline returns when Advance may have something to do.
func (s *Schedule) Deadline(now time.Time) time.Time {
	first := s.slow
	if !s.quiet.IsZero() && s.quiet.Before(first) {
		first = s.quiet
	}
	for _, p := range s.peers {
		if !p.running && !p.due.IsZero() && p.due.Before(first) {
			first = p.due
		}
	}
	if s.running >= maxSessions {
		return now.Add(slowPace) // the end of one comes first
	}
	if free := s.brought.Add(bulkPause); s.running > 0 && first.Before(free) {
		first = free
	}
	return first
}

// Refusal returns why no neighbour takes part here, if all have refused. It is nil if one
// has not, or there is none.
func (s *Schedule) Refusal() (why error) {
	last := ""
	for id, p := range s.peers {
		if p.refused == nil {
			return nil
		}
		if id >= last {
			last, why = id, p.refused
		}
	}
	return why
}
