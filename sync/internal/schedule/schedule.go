// Package schedule decides when a replica is compared with which neighbour, and touches
// nothing.
package schedule

import (
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"time"
)

// The times of comparing.
const (
	gapPause    = 200 * time.Millisecond // what seems to be missing may be on its way
	spreadPause = 100 * time.Millisecond // from catching up with one to telling the others
	strangers   = 500 * time.Millisecond // from meeting to comparing, for who has been there longer
	spreadPace  = time.Second            // between two of that with the same one, at least
	quietPause  = time.Second            // from the last change to comparing with somebody
	slowPace    = 15 * time.Second       // between comparisons when nothing happens
	bulkPause   = 250 * time.Millisecond // from records that came to catching up with another one
	firstPause  = time.Second            // after a failure; it doubles up to lastPause
	lastPause   = 30 * time.Second
	maxSessions = 4 // of this replica's asking
)

// Schedule decides when to compare with which neighbour. A comparison of equal replicas
// costs next to nothing, so that in doubt there is one; but who has much to catch up
// with does so with one neighbour at a time.
type Schedule struct {
	rng     *rand.Rand
	born    time.Time
	peers   map[string]*neighbour
	running int
	brought time.Time // when records came last, or a session began
	quiet   time.Time // when to compare with anybody, after a change; zero for never
	slow    time.Time // likewise, when nothing happens
}

type neighbour struct {
	due      time.Time // zero for never
	started  time.Time // the last session
	running  bool
	relayed  bool // topics pass it over
	failures int
	inSync   time.Time // when the two were last found or made equal
	refused  error     // why there is nothing to compare
}

func New(now time.Time, rng *rand.Rand) *Schedule {
	return &Schedule{rng: rng, born: now, peers: map[string]*neighbour{}, slow: now.Add(slowPace)}
}

// Join notes a neighbour, which is there anew or has begun to take part. Of two that
// meet, the one who came later asks, since it has more to learn.
func (l *Schedule) Join(now time.Time, peer string) {
	p := l.peers[peer]
	if p == nil {
		p = &neighbour{}
		l.peers[peer] = p
	}
	pause := time.Duration(0)
	if now.Sub(l.born) > 2*time.Second {
		pause = strangers
	}
	p.failures = 0
	p.soon(now.Add(pause))
}

func (l *Schedule) Leave(peer string) { delete(l.peers, peer) }

func (p *neighbour) soon(t time.Time) {
	if p.due.IsZero() || t.Before(p.due) {
		p.due = t
	}
}

// Gap notes that a neighbour knows of something that is missing here.
func (l *Schedule) Gap(now time.Time, peer string) {
	if p := l.peers[peer]; p != nil {
		p.soon(now.Add(gapPause))
	}
}

// Changed notes that the replica has changed, and tells whether the deadline has.
func (l *Schedule) Changed(now time.Time) (sooner bool) {
	sooner = l.quiet.IsZero()
	l.quiet = now.Add(quietPause)
	for _, p := range l.peers {
		if p.relayed && p.due.IsZero() && p.refused == nil {
			p.soon(now.Add(spreadPause))
			sooner = true
		}
	}
	return sooner
}

// News notes that one neighbour has brought news, of which the others do not hear by
// themselves.
func (l *Schedule) News(now time.Time, from string) {
	for id, p := range l.peers {
		if id == from || p.refused != nil {
			continue
		}
		due := now.Add(spreadPause)
		if free := p.started.Add(spreadPace); due.Before(free) {
			due = free
		}
		p.soon(due)
	}
}

// Received notes that records come in a session of this replica's asking.
func (l *Schedule) Received(now time.Time) { l.brought = now }

// Busy tells whether this replica catches up with somebody, and others should wait.
func (l *Schedule) Busy(now time.Time) bool { return l.running > 0 && now.Sub(l.brought) < bulkPause }

// Effects are what is to be done at a moment.
type Effects struct {
	Begin []string // neighbours to begin a session with
}

// Advance says what is to be done now.
func (l *Schedule) Advance(now time.Time) (out Effects) {
	for {
		peer, ok := l.next(now)
		if !ok {
			return out
		}
		out.Begin = append(out.Begin, peer)
	}
}

// next returns a neighbour to compare with now; none if there is no more.
func (l *Schedule) next(now time.Time) (peer string, ok bool) {
	if !l.quiet.IsZero() && !now.Before(l.quiet) {
		l.quiet = time.Time{}
		l.any(now)
	}
	if !now.Before(l.slow) {
		l.slow = now.Add(slowPace + time.Duration(l.rng.Int64N(int64(slowPace/4))))
		l.any(now)
	}
	if l.running >= maxSessions || l.Busy(now) {
		return "", false
	}
	var first *neighbour
	for id, p := range l.peers {
		if !p.running && !p.due.IsZero() && !now.Before(p.due) && (first == nil || p.due.Before(first.due) || p.due.Equal(first.due) && id < peer) {
			peer, first = id, p
		}
	}
	if first == nil {
		return "", false
	}
	first.due, first.running, first.started = time.Time{}, true, now
	l.running++
	l.brought = now
	return peer, true
}

// any makes some neighbour due.
func (l *Schedule) any(now time.Time) {
	if ids := slices.Sorted(maps.Keys(l.peers)); len(ids) > 0 {
		l.peers[ids[l.rng.IntN(len(ids))]].soon(now)
	}
}

// An Outcome is how a session ended.
type Outcome int

const (
	InSync Outcome = iota
	Busy           // the other one is busy
	Failed
	Refused // it has other parameters
)

// Done notes the end of a session that next has begun.
func (l *Schedule) Done(now time.Time, peer string, how Outcome, why error) {
	l.running--
	p := l.peers[peer]
	if p == nil {
		return
	}
	p.running = false
	switch how {
	case Busy:
		p.soon(now.Add(bulkPause + time.Duration(l.rng.Int64N(int64(bulkPause)))))
	case Failed:
		p.failures++
		pause := min(firstPause<<min(p.failures-1, 10), lastPause)
		p.soon(now.Add(pause + time.Duration(l.rng.Int64N(int64(pause/2)))))
	default:
		l.Found(now, peer, why)
	}
}

// Found notes what a session, whoever asked for it, has shown: that the two are level,
// or why they never will be.
func (l *Schedule) Found(now time.Time, peer string, why error) {
	if p := l.peers[peer]; p != nil {
		p.failures, p.refused = 0, why
		if why == nil {
			p.inSync = now
		}
	}
}

// InSync tells whether this replica is or was level with a neighbour that is there.
func (l *Schedule) InSync() bool {
	for _, p := range l.peers {
		if !p.inSync.IsZero() {
			return true
		}
	}
	return false
}

// Refuse notes why a neighbour and this replica never will be level, and tells whether
// that was known.
func (l *Schedule) Refuse(peer string, why error) (known bool) {
	p := l.peers[peer]
	if p == nil {
		return false
	}
	known = p.refused != nil && p.refused.Error() == why.Error()
	p.refused = why
	return known
}

// SetRelayed notes the neighbours that topics pass over.
func (l *Schedule) SetRelayed(relayed func(peer string) bool) {
	for id, p := range l.peers {
		p.relayed = relayed(id)
	}
}

// Running tells whether a session with a neighbour runs, which this replica has asked for.
func (l *Schedule) Running(peer string) bool {
	p := l.peers[peer]
	return p != nil && p.running
}

// Neighbour is how this replica stands with a neighbour.
type Neighbour struct {
	Peer    string
	InSync  time.Time // when the two were last found or made equal; zero for never
	Running bool      // they are being compared
	Refused error     // why there is nothing to compare
}

// Len is the number of neighbours.
func (l *Schedule) Len() int { return len(l.peers) }

// Neighbours yields all there are, in no order.
func (l *Schedule) Neighbours() iter.Seq[Neighbour] {
	return func(yield func(Neighbour) bool) {
		for id, p := range l.peers {
			if !yield(Neighbour{id, p.inSync, p.running, p.refused}) {
				return
			}
		}
	}
}

// Deadline says when advance may have something to do.
func (l *Schedule) Deadline(now time.Time) time.Time {
	first := l.slow
	if !l.quiet.IsZero() && l.quiet.Before(first) {
		first = l.quiet
	}
	for _, p := range l.peers {
		if !p.running && !p.due.IsZero() && p.due.Before(first) {
			first = p.due
		}
	}
	if l.running >= maxSessions {
		return now.Add(slowPace) // the end of one comes first
	}
	if free := l.brought.Add(bulkPause); l.running > 0 && first.Before(free) {
		first = free
	}
	return first
}

// Refusal tells why nobody takes part here: all neighbours have refused. Nil if one has
// not, or there is none.
func (l *Schedule) Refusal() (why error) {
	for _, id := range slices.Sorted(maps.Keys(l.peers)) {
		if why = l.peers[id].refused; why == nil {
			return nil
		}
	}
	return why
}
