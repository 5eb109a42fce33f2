package bridge

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/p2p-today/go2p/compat"
	"github.com/p2p-today/go2p/compat/internal/legacy"
	"github.com/p2p-today/go2p/mesh"
)

// Reasons for which something does not cross a bridge, beside those of a node; their text says more.
const (
	DropValue    = legacy.DropValue
	DropOldOnes  = legacy.DropOldOnes
	DropAuthors  = legacy.DropAuthors
	DropConflict = legacy.DropConflict
	DropNative   = legacy.DropNative
	DropLater    = legacy.DropLater
	DropReceiver = legacy.DropReceiver
)

const maxRefused = 16

// A Refusal is a node that was not let in, or one that has not let this one in. Err says of which network it is, if
// that shows.
type Refusal struct {
	Remote string
	Err    error
	Time   time.Time
}

// A LinkStatus is the status of a link with an old network.
type LinkStatus struct {
	Name    string
	Options compat.Options
	ID      string // of the bridge's node
	Addr    string // where it listens, or empty
	Peers   []compat.Peer
	Authors int    // native ones, under whose IDs it has extra connections for replies
	Elected bool   // it does what one of several bridges has to do
	In, Out uint64 // messages and keys that have crossed
	Dropped map[compat.Drop]uint64
	Refused []Refusal // the last 16
}

// counters count what crosses a link, and what does not. mu guards dropped and refused.
type counters struct {
	log     *slog.Logger
	in, out atomic.Uint64 // messages and keys

	mu      sync.Mutex
	dropped legacy.Drops
	refused []Refusal // the last ones
}

func newCounters(log *slog.Logger) *counters { return &counters{log: log} }

func (c *counters) drop(why compat.Drop) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropped[why]++
}

// crossedIn counts what has gone to the native side, or why it has not.
func (c *counters) crossedIn(ctx context.Context, err error) {
	switch {
	case err == nil:
		c.in.Add(1)
		return
	case ctx.Err() != nil:
		return
	}
	c.log.Info("the native side refuses", "err", err)
	if errors.Is(err, mesh.ErrTooLarge) || errors.Is(err, mesh.ErrOrigin) {
		c.drop(DropOldOnes)
	} else {
		c.drop(DropNative)
	}
}

// addRefusal notes that a connection was refused, unless it is one too many with a node.
func (c *counters) addRefusal(ev compat.Event) {
	if errors.Is(ev.Err, compat.ErrTwice) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refused = append(c.refused, Refusal{Remote: ev.Peer.Remote, Err: ev.Err, Time: time.Now()})
	c.refused = c.refused[max(0, len(c.refused)-maxRefused):]
}

// addTo adds the counts to a status.
func (c *counters) addTo(s *LinkStatus) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for why, n := range c.dropped.Map() {
		s.Dropped[why] += n
	}
	s.Refused = slices.Clone(c.refused)
}
