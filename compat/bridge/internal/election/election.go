// Package election decides which of the bridges between one native and one old network does what one of them has to do:
// the one with the lowest ID.
package election

import "time"

const (
	// AnnounceEvery is how often a bridge says that it is there.
	AnnounceEvery = 10 * time.Second
	// Settle is how long other bridges have to answer before one may be elected.
	Settle = time.Second

	silence    = 25 * time.Second // after which a bridge counts as gone
	maxBridges = 64
)

// An Election is one bridge's view of the others.
type Election struct {
	self   string
	joined time.Time            // when others began to be able to hear this one; zero if they cannot
	others map[string]time.Time // when each was heard last
}

// New returns the view of a bridge that has heard nobody.
func New(self string) Election { return Election{self: self, others: map[string]time.Time{}} }

// Join notes that others can hear this bridge from now on.
func (e *Election) Join(now time.Time) {
	if e.joined.IsZero() {
		e.joined = now
	}
}

// Leave notes that nobody can hear it any more.
func (e *Election) Leave() { e.joined = time.Time{} }

// Settled reports whether other bridges had time to answer.
func (e *Election) Settled(now time.Time) bool {
	return !e.joined.IsZero() && now.Sub(e.joined) >= Settle
}

// Hear notes that another bridge is there, and reports whether that is news.
func (e *Election) Hear(now time.Time, bridge string) bool {
	for id, last := range e.others {
		if now.Sub(last) > silence {
			delete(e.others, id)
		}
	}
	_, known := e.others[bridge]
	if bridge == e.self || !known && len(e.others) >= maxBridges {
		return false
	}
	e.others[bridge] = now
	return !known
}

// Won reports whether this bridge is elected.
func (e *Election) Won(now time.Time) bool {
	if !e.Settled(now) {
		return false
	}
	for id, last := range e.others {
		if id < e.self && now.Sub(last) <= silence {
			return false
		}
	}
	return true
}
