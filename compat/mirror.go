package compat

// CORE: what a bridge does about a key of which one side's dictionary has changed.

import "time"

// fresh is how long a store is passed on by old nodes, with something to spare; one that
// is older says that it is from now.
const fresh = 50 * time.Second

// A claim is what one side's dictionary has under a key.
type claim struct {
	held  bool
	owner string // the ID in the old network, whichever side it is
	text  bool   // it travels as text there
	time  int64
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
)

// fromNative decides when the native dictionary has changed. The native owner is a node of
// this old network, or has a derived ID there. Crosses is false for a value that the old
// network has not; equal is true if it has this one; accepts tells whether old nodes take
// a write of the native owner.
func fromNative(now time.Time, native, old claim, crosses, equal, accepts bool) verdict {
	here := native.held && !marked(native.owner)
	switch {
	case !native.held && old.held:
		return verdict{removeOut, old.owner, old.text, now.Unix()}
	case !native.held, here && old.held && old.owner == native.owner:
		return verdict{}
	case !crosses && old.held && marked(old.owner):
		return verdict{removeOut, old.owner, old.text, now.Unix()} // nothing is better than what is no more
	case !crosses:
		return verdict{}
	case equal && (old.owner != native.owner || old.time >= native.time):
		return verdict{}
	case accepts:
		return verdict{carryOut, native.owner, native.text, recently(now, native.time)}
	}
	return answer(now, old)
}

// answer gives an old owner the native value under its own name, which all nodes take: of
// two that claim a key the native one stands.
func answer(now time.Time, old claim) verdict {
	return verdict{carryOut, old.owner, old.text, recently(now, old.time)}
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

// recently is a time that old nodes pass on.
func recently(now time.Time, t int64) int64 {
	if d := now.Sub(time.Unix(t, 0)); d > fresh || -d > fresh {
		return now.Unix()
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

// shared decides about a key of two tables, from the values of both and what they last
// agreed on; an empty one is none. If both have changed the native one stands. Old tables
// lose keys: only if one says that a key is gone it was deleted.
func shared(native, old, last string, known, gone bool) action {
	switch {
	case native == old:
		return nothing
	case native == "" && known && old == last:
		return removeOut
	case native == "":
		return carryIn
	case old == "" && gone && known && native == last:
		return removeIn
	case old == "", !known, native != last:
		return carryOut
	}
	return carryIn
}
