package bridge

import (
	"sync"
	"time"

	"github.com/p2p-today/go2p/compat/bridge/internal/election"
	"github.com/p2p-today/go2p/compat/internal/legacy"
)

// A leadership is a bridge's part in the election among the bridges between the native network and an old one. They
// hear each other in the old network. mu guards the state.
type leadership struct {
	self legacy.Presence

	mu        sync.Mutex
	election  election.Election
	announced time.Time // when this bridge has said last that it is there
}

func newLeadership(tag, id string) *leadership {
	return &leadership{self: legacy.Presence{Tag: tag, Bridge: id}, election: election.New(id)}
}

// elected reports whether this bridge does what one of several has to do.
func (l *leadership) elected() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.election.Won(time.Now())
}

// settled reports whether other bridges, and old nodes, had time to say what they have to say.
func (l *leadership) settled() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.election.Settled(time.Now())
}

// join notes that an old node has connected, by which others can hear this bridge.
func (l *leadership) join(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.election.Join(now)
	l.announced = time.Time{}
}

// hear notes that another bridge is there, and has this one answer if the other is new.
func (l *leadership) hear(now time.Time, p legacy.Presence) {
	if p.Tag != l.self.Tag {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.election.Hear(now, p.Bridge) {
		l.announced = time.Time{}
	}
}

// due reports whether this bridge has to say again that it is there, to so many peers, and what.
func (l *leadership) due(now time.Time, peers int) (legacy.Presence, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if peers == 0 {
		l.election.Leave()
		return l.self, false
	}
	if now.Sub(l.announced) < election.AnnounceEvery {
		return l.self, false
	}
	l.announced = now
	return l.self, true
}
