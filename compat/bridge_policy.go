package compat

// CORE: what a bridge does about a key of which one side's dictionary has changed.

import (
	"slices"
	"time"
)

// fresh is how long a store is passed on by old nodes, with something to spare; one that
// is older says that it is from now.
const fresh = 50 * time.Second

// aside is how much older native stores say that they are: so that they are not of the
// second in which an old node writes the same key without having heard of it. py of 0.6
// and 0.7 has to compare the owners then, and closes if one is of py and the other of js.
const aside = 5 * time.Second

// A claim is what one side's dictionary has under a key.
type claim struct {
	held  bool
	owner string // the ID in the old network, whichever side it is
	text  bool   // it travels as text there
	time  int64
}

// sides are what both have under a key. The native owner is a node of this old network, or
// has a derived ID there.
type sides struct {
	native, old claim
	crosses     bool // the old network has such values as the native one
	equal       bool // it has this one
	accepts     bool // old nodes take a write of the native owner
}

// A verdict is what to do.
type verdict struct {
	do    action
	owner string // on whose behalf, by the ID in the old network
	text  bool
	time  int64
}

// An action is what a bridge does with a key.
type action int

const (
	nothing   action = iota
	carryIn          // give the native dictionary the old value
	removeIn         // delete it there
	carryOut         // give the old network the native value
	removeOut        // delete it there
	withhold         // nothing, since the native value does not cross
	wait             // look again in a while
)

// fromNative decides when the native dictionary has changed.
func fromNative(now time.Time, s sides) verdict {
	native, old := s.native, s.old
	here := native.held && !marked(native.owner)
	switch {
	case !native.held && old.held:
		return verdict{removeOut, old.owner, old.text, now.Unix()}
	case !native.held, here && old.held && old.owner == native.owner:
		return verdict{}
	case !s.crosses && old.held && marked(old.owner):
		return verdict{removeOut, old.owner, old.text, now.Unix()} // nothing is better than what is no more
	case !s.crosses:
		return verdict{do: withhold}
	case s.equal && (old.owner != native.owner || old.time >= native.time):
		return verdict{}
	case s.accepts:
		return verdict{carryOut, native.owner, native.text, recently(now, native.time)}
	}
	return answer(now, old)
}

// answer gives an old owner the native value under its own name, which all nodes take: of
// two that claim a key the native one stands.
func answer(now time.Time, old claim) verdict {
	return verdict{carryOut, old.owner, old.text, recently(now, old.time)}
}

// fromLeased decides when the native dictionary has not done what the old one has, since
// the key is leased to somebody else there.
func fromLeased(now time.Time, did action, s sides) verdict {
	switch {
	case did == removeIn || !s.old.held:
		return fromNative(now, s)
	case !s.crosses:
		return verdict{do: withhold}
	case s.equal:
		return verdict{}
	}
	return answer(now, s.old)
}

// fromOld decides when the old dictionary has changed: what came over a bridge goes back
// over none.
func fromOld(old claim) verdict {
	switch {
	case marked(old.owner):
		return verdict{}
	case old.held:
		return verdict{carryIn, old.owner, old.text, old.time}
	}
	return verdict{removeIn, old.owner, old.text, old.time}
}

// fromContest decides about a write in the old network that this node has not taken, and
// tells whether who wrote it may go on to claim the key. What this node has may be its own,
// carried here under a derived ID before it was known that it is of this network. The same
// value may be the word of another bridge.
func fromContest(now time.Time, lost claim, own, same bool, s sides) (v verdict, rival bool) {
	switch {
	case own && lost.held:
		return fromOld(lost), false
	case !s.native.held || !s.crosses:
		return verdict{}, false
	case same:
		return verdict{}, true
	}
	return answer(now, lost), true
}

// recently is a time that old nodes pass on.
func recently(now time.Time, t int64) int64 {
	if d := now.Sub(time.Unix(t, 0)); d > fresh || -d > fresh {
		return now.Add(-aside).Unix()
	}
	return t
}

// An election tells which of the bridges between one native and one old network does what
// one of them has to do: that with the lowest ID.
type election struct {
	self   string
	heard  map[string]time.Time // the others
	joined time.Time            // when others began to be able to hear this one; zero if they cannot
}

const (
	presentEvery = 10 * time.Second
	presentFor   = 25 * time.Second
	settleTime   = time.Second // until others have had time to say that they are there
	maxBridges   = 64
)

// hear takes the presence of another bridge, and tells whether it is news.
func (e *election) hear(now time.Time, bridge string) bool {
	for id, since := range e.heard {
		if now.Sub(since) > presentFor {
			delete(e.heard, id)
		}
	}
	_, known := e.heard[bridge]
	if bridge == e.self || !known && len(e.heard) >= maxBridges {
		return false
	}
	e.heard[bridge] = now
	return !known
}

// won tells whether it is this one.
func (e *election) won(now time.Time) bool {
	if e.joined.IsZero() || now.Sub(e.joined) < settleTime {
		return false
	}
	for id, since := range e.heard {
		if id < e.self && now.Sub(since) <= presentFor {
			return false
		}
	}
	return true
}

// A cause is why a key has to be looked at. Both sides may have changed.
type cause struct {
	native  bool   // the native side has changed
	version uint64 // of a table: what the key had come to when that was told
	deleted bool   // that it was deleted
	old     bool   // the old side has changed
	owner   string
	time    int64
	gone    bool      // of a table: the key was deleted
	lost    []contest // writes in the old network that were not taken here, the last of each sender
	again   bool      // it was looked at already, and may be as it should not
}

// and adds a later one. What the old side has done last counts, and everybody who has lost.
func (c cause) and(later cause) cause {
	if later.version < c.version {
		later.version, later.deleted = c.version, c.deleted
	}
	if !later.old {
		later.old, later.owner, later.time, later.gone = c.old, c.owner, c.time, c.gone
	}
	var lost []contest
	for _, w := range c.lost {
		if !slices.ContainsFunc(later.lost, func(l contest) bool { return l.sender == w.sender }) {
			lost = append(lost, w)
		}
	}
	lost = append(lost, later.lost...)
	later.lost = lost[max(0, len(lost)-maxRivals):]
	later.native = later.native || c.native
	later.again = later.again && c.again
	return later
}

// outruns tells whether a table that has a key in some version, or not, does not yet have
// what was told: one home tells of a write that a majority may not have.
func (c cause) outruns(held bool, version uint64) bool {
	if held {
		return version < c.version
	}
	return c.version > 0 && !c.deleted
}

// A share is what is known of a key of two tables: the values of both and what they last
// agreed on. An empty one is none.
type share struct {
	native, old, last string
	known             bool // when they agreed
	deleted, gone     bool // somebody says that it was deleted natively, or in the old network
	again             bool // it was as now a while ago
}

// decide decides. If both have changed the native value stands. Tables lose keys, and find
// them again: a key was deleted only if somebody says so, and that may come behind what
// shows that it is not there.
func (s share) decide() action {
	changed := !s.known || s.native != s.last
	switch {
	case s.native == s.old:
		return nothing
	case s.native == "" && s.known && s.old == s.last && s.deleted:
		return removeOut
	case s.native == "":
		return carryIn
	case s.old == "" && !changed && s.gone:
		return removeIn
	case s.old == "" && !changed && !s.again:
		return wait
	case s.old == "", changed:
		return carryOut
	}
	return carryIn
}
