// Package peerlimit decides what a peer may do, and how often, before it is banned.
package peerlimit

import "time"

// A Violation is something that peers do, or cause, and that is counted.
type Violation int

// The violations. A few of some are no fault; a budget says how many.
const (
	BadBatch      Violation = iota // a batch that does not decode or verify
	BadFrame                       // a frame of a stream that does not decode, or is too large
	RefusedStream                  // a stream beyond those that a member may have
	ControlFrame                   // a frame of a control stream
	UselessBytes                   // bytes given to gossipsub, less those of new batches
	Authored                       // broadcasts of an author, from whatever neighbour
	AuthoredBytes                  // bytes of their batches
	violations
)

// String names a violation in the plural.
func (v Violation) String() string {
	return [violations]string{
		BadBatch:      "broadcasts that do not decode or verify",
		BadFrame:      "frames that do not decode",
		RefusedStream: "streams beyond those it may have",
		ControlFrame:  "messages on the link",
		UselessBytes:  "bytes of broadcasts that are not new",
		Authored:      "broadcasts",
		AuthoredBytes: "bytes of broadcasts",
	}[v]
}

// A Budget is how much of a violation is tolerated in a period.
type Budget struct {
	Most int64
	In   time.Duration
}

// Budgets has the budget of each violation.
type Budgets [violations]Budget

// DefaultBudgets returns budgets far above what honest peers do, but for the first two,
// which honest peers do not do at all.
func DefaultBudgets() Budgets {
	return Budgets{
		BadBatch:      {Most: 9, In: time.Minute},
		BadFrame:      {Most: 9, In: time.Minute},
		RefusedStream: {Most: 250, In: time.Minute},
		ControlFrame:  {Most: 200_000, In: 10 * time.Second},
		UselessBytes:  {Most: 256 << 20, In: 10 * time.Second},
		Authored:      {Most: 5_000_000, In: 10 * time.Second},
		AuthoredBytes: {Most: 2 << 30, In: 10 * time.Second},
	}
}

// maxPeers is how many peers a table remembers.
const maxPeers = 4096

// A Table counts the violations of peers, and knows which peers are banned. It remembers
// 4096 peers; peers within their budgets make room for others first.
type Table struct {
	Budgets Budgets
	peers   map[string]*counter
}

// NewTable returns a table that knows no peer.
func NewTable(b Budgets) *Table { return &Table{Budgets: b, peers: map[string]*counter{}} }

// A counter is what one peer has done lately, and until when it is banned for that.
type counter struct {
	done   [violations]tally
	banned time.Time
}

// A tally counts from the first violation on, and anew when the period of the budget is over.
type tally struct {
	since time.Time
	n     int64
}

// Count counts n violations of a peer, and reports whether the peer is beyond its budget.
// A negative n takes some back.
func (t *Table) Count(now time.Time, peer string, v Violation, n int64) (over bool) {
	c := t.peers[peer]
	if c == nil {
		t.makeRoom(now)
		c = &counter{}
		t.peers[peer] = c
	}
	done := &c.done[v]
	if now.Sub(done.since) >= t.Budgets[v].In {
		*done = tally{since: now}
	}
	done.n += n
	return done.n > t.Budgets[v].Most
}

// Ban bans a peer that has been counted until a time, and forgets what the peer has done.
func (t *Table) Ban(peer string, until time.Time) {
	if c := t.peers[peer]; c != nil {
		*c = counter{banned: until}
	}
}

// Banned reports whether a peer is banned.
func (t *Table) Banned(now time.Time, peer string) bool {
	c := t.peers[peer]
	return c != nil && now.Before(c.banned)
}

// makeRoom makes room for one more peer: idle peers go first, then any that are not banned.
func (t *Table) makeRoom(now time.Time) {
	if len(t.peers) < maxPeers {
		return
	}
	for p, c := range t.peers {
		if t.idle(now, c) {
			delete(t.peers, p)
		}
	}
	for p, c := range t.peers {
		if len(t.peers) < maxPeers {
			return
		}
		if !now.Before(c.banned) {
			delete(t.peers, p)
		}
	}
}

// idle reports whether there is nothing to remember of a peer.
func (t *Table) idle(now time.Time, c *counter) bool {
	for v, done := range c.done {
		if now.Sub(done.since) < t.Budgets[v].In {
			return false
		}
	}
	return !now.Before(c.banned)
}
