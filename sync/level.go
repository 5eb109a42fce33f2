package sync

// CORE: with whom this replica is level, and when to compare with whom.

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

// levels decides when to compare with which neighbour. A comparison of equal replicas
// costs next to nothing, so that in doubt there is one; but who has much to catch up
// with does so with one neighbour at a time.
type levels struct {
	rng     *rand.Rand
	born    time.Time
	peers   map[string]*levelPeer
	running int
	brought time.Time // when records came last, or a session began
	quiet   time.Time // when to compare with anybody, after a change; zero for never
	slow    time.Time // likewise, when nothing happens
}

type levelPeer struct {
	due      time.Time // zero for never
	started  time.Time // the last session
	running  bool
	relayed  bool // topics pass it over
	failures int
	level    time.Time // when the two were last found or made equal
	refused  error     // why there is nothing to compare
}

func newLevels(now time.Time, rng *rand.Rand) *levels {
	return &levels{rng: rng, born: now, peers: map[string]*levelPeer{}, slow: now.Add(slowPace)}
}

// join notes a neighbour, which is there anew or has begun to take part. Of two that
// meet, the one who came later asks, since it has more to learn.
func (l *levels) join(now time.Time, peer string) {
	p := l.peers[peer]
	if p == nil {
		p = &levelPeer{}
		l.peers[peer] = p
	}
	pause := time.Duration(0)
	if now.Sub(l.born) > 2*time.Second {
		pause = strangers
	}
	p.failures = 0
	p.soon(now.Add(pause))
}

func (l *levels) leave(peer string) { delete(l.peers, peer) }

func (p *levelPeer) soon(t time.Time) {
	if p.due.IsZero() || t.Before(p.due) {
		p.due = t
	}
}

// gap notes that a neighbour knows of something that is missing here.
func (l *levels) gap(now time.Time, peer string) {
	if p := l.peers[peer]; p != nil {
		p.soon(now.Add(gapPause))
	}
}

// change notes that the replica has changed, and tells whether the deadline has.
func (l *levels) change(now time.Time) (sooner bool) {
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

// spread notes that one neighbour has brought news, of which the others do not hear by
// themselves.
func (l *levels) spread(now time.Time, from string) {
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

// receive notes that records come in a session of this replica's asking.
func (l *levels) receive(now time.Time) { l.brought = now }

// busy tells whether this replica catches up with somebody, and others should wait.
func (l *levels) busy(now time.Time) bool { return l.running > 0 && now.Sub(l.brought) < bulkPause }

// effects are what is to be done at a moment.
type effects struct {
	begin []string // neighbours to begin a session with
}

// advance says what is to be done now.
func (l *levels) advance(now time.Time) (out effects) {
	for {
		peer, ok := l.next(now)
		if !ok {
			return out
		}
		out.begin = append(out.begin, peer)
	}
}

// next returns a neighbour to compare with now; none if there is no more.
func (l *levels) next(now time.Time) (peer string, ok bool) {
	if !l.quiet.IsZero() && !now.Before(l.quiet) {
		l.quiet = time.Time{}
		l.any(now)
	}
	if !now.Before(l.slow) {
		l.slow = now.Add(slowPace + time.Duration(l.rng.Int64N(int64(slowPace/4))))
		l.any(now)
	}
	if l.running >= maxSessions || l.busy(now) {
		return "", false
	}
	var first *levelPeer
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
func (l *levels) any(now time.Time) {
	if ids := slices.Sorted(maps.Keys(l.peers)); len(ids) > 0 {
		l.peers[ids[l.rng.IntN(len(ids))]].soon(now)
	}
}

// An outcome is how a session ended.
type outcome int

const (
	levelled outcome = iota
	waits            // the other one is busy
	failed
	refused // it has other parameters
)

// done notes the end of a session that next has begun.
func (l *levels) done(now time.Time, peer string, how outcome, why error) {
	l.running--
	p := l.peers[peer]
	if p == nil {
		return
	}
	p.running = false
	switch how {
	case waits:
		p.soon(now.Add(bulkPause + time.Duration(l.rng.Int64N(int64(bulkPause)))))
	case failed:
		p.failures++
		pause := min(firstPause<<min(p.failures-1, 10), lastPause)
		p.soon(now.Add(pause + time.Duration(l.rng.Int64N(int64(pause/2)))))
	default:
		l.found(now, peer, why)
	}
}

// found notes what a session, whoever asked for it, has shown: that the two are level,
// or why they never will be.
func (l *levels) found(now time.Time, peer string, why error) {
	if p := l.peers[peer]; p != nil {
		p.failures, p.refused = 0, why
		if why == nil {
			p.level = now
		}
	}
}

// level tells whether this replica is or was level with a neighbour that is there.
func (l *levels) level() bool {
	for _, p := range l.peers {
		if !p.level.IsZero() {
			return true
		}
	}
	return false
}

// refuse notes why a neighbour and this replica never will be level, and tells whether
// that was known.
func (l *levels) refuse(peer string, why error) (known bool) {
	p := l.peers[peer]
	if p == nil {
		return false
	}
	known = p.refused != nil && p.refused.Error() == why.Error()
	p.refused = why
	return known
}

// relay notes the neighbours that topics pass over.
func (l *levels) relay(relayed func(peer string) bool) {
	for id, p := range l.peers {
		p.relayed = relayed(id)
	}
}

// with tells whether a session with a neighbour runs, which this replica has asked for.
func (l *levels) with(peer string) bool {
	p := l.peers[peer]
	return p != nil && p.running
}

// neighbour is how this replica stands with a neighbour.
type neighbour struct {
	peer    string
	level   time.Time // when the two were last found or made equal; zero for never
	running bool      // they are being compared
	refused error     // why there is nothing to compare
}

// size is the number of neighbours.
func (l *levels) size() int { return len(l.peers) }

// neighbours yields all there are, in no order.
func (l *levels) neighbours() iter.Seq[neighbour] {
	return func(yield func(neighbour) bool) {
		for id, p := range l.peers {
			if !yield(neighbour{id, p.level, p.running, p.refused}) {
				return
			}
		}
	}
}

// deadline says when advance may have something to do.
func (l *levels) deadline(now time.Time) time.Time {
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

// alone tells why nobody takes part here: all neighbours have refused. Nil if one has
// not, or there is none.
func (l *levels) alone() (why error) {
	for _, id := range slices.Sorted(maps.Keys(l.peers)) {
		if why = l.peers[id].refused; why == nil {
			return nil
		}
	}
	return why
}
