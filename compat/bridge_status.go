package compat

import (
	"sync"
	"time"

	"github.com/p2p-today/go2p/internal/ttlset"
)

// Reasons for which something does not cross a bridge, beside those of a node.
const (
	DropValue    Drop = "a value that this version has not, or that would delete"
	DropOldOnes  Drop = "an author that is too long, or a message that a native peer cannot have"
	DropAuthors  Drop = "replies to more than 16 authors at once"
	DropContest  Drop = "a key that somebody else has leased"
	DropNative   Drop = "the native side has refused it"
	DropLater    Drop = "a key of a table that could not be read or written just then, and is tried again"
	DropReceiver Drop = "nobody to deliver it to"
)

// A Refusal is a node that was not let in, or one that has not let this one in. Err says of
// which network it is, if that shows.
type Refusal struct {
	Remote string
	Err    error
	Time   time.Time
}

// A LinkStatus is how a bridge stands in an old network.
type LinkStatus struct {
	Name    string
	Options Options
	ID      string // of the bridge's node
	Addr    string // where it listens, or empty
	Peers   []Peer
	Authors int    // native ones, under whose IDs it has extra connections for replies
	Elected bool   // it does what one of several bridges has to do
	In, Out uint64 // messages and keys that have crossed
	Dropped map[Drop]uint64
	Refused []Refusal // the last 16
}

// Links are the links of a bridge, by name.
func (b *Bridge) Links() (list []LinkStatus) {
	for _, l := range b.all() {
		list = append(list, l.status())
	}
	return list
}

// status is how a link stands.
func (l *link) status() LinkStatus {
	s := LinkStatus{
		Name: l.name, Options: l.opts, ID: l.node.ID(), Addr: l.node.Addr(), Peers: l.node.Peers(),
		Elected: l.elected(), In: l.in.Load(), Out: l.out.Load(), Dropped: l.node.Dropped(),
	}
	l.dropped.addTo(s.Dropped)
	l.mu.Lock()
	defer l.mu.Unlock()
	s.Authors = len(l.personas)
	s.Refused = append(s.Refused, l.refused...)
	return s
}

// counters count what is dropped.
type counters struct {
	mu     sync.Mutex
	counts map[Drop]uint64
}

func (c *counters) drop(why Drop) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counts == nil {
		c.counts = map[Drop]uint64{}
	}
	c.counts[why]++
}

func (c *counters) addTo(counts map[Drop]uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for why, n := range c.counts {
		counts[why] += n
	}
}

// newResident makes a memory of who is of an old network.
func newResident() *ttlset.Set { return ttlset.New(24*time.Hour, maxKnown) }
