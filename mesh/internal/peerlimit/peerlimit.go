// Package peerlimit decides what a peer may do, and how often, before it is banned.
package peerlimit

import "time"

// A Violation is something that peers do, or cause, and that is counted.
type Violation int

const (
	BadBatch      Violation = iota // a batch that does not decode or verify
	BadFrame                       // a frame of a link or of whispers that does not decode, or is too large
	RefusedStream                  // a stream beyond those that a member may have
	ControlFrame                   // a frame of a link
	UselessBytes                   // bytes given to gossipsub, less those of new batches
	Authored                       // broadcasts of which it is the author, whoever passed them on
	AuthoredBytes                  // bytes of their batches
	violations
)

// A Budget is how much of a deed is tolerated in a stretch of time.
type Budget struct {
	Most int64
	In   time.Duration
	Says string
}

// Budgets are far above what honest peers do, but for the first two, which they do not
// do at all.
var Budgets = [violations]Budget{
	BadBatch:      {9, time.Minute, "broadcasts that do not decode or verify"},
	BadFrame:      {9, time.Minute, "frames that do not decode"},
	RefusedStream: {250, time.Minute, "streams beyond those it may have"},
	ControlFrame:  {200_000, 10 * time.Second, "messages on the link"},
	UselessBytes:  {256 << 20, 10 * time.Second, "bytes of broadcasts that are not new"},
	Authored:      {5_000_000, 10 * time.Second, "broadcasts"},
	AuthoredBytes: {2 << 30, 10 * time.Second, "bytes of broadcasts"},
}

// Counter is what one peer has done lately, and whether it is outside for that.
type Counter struct {
	done  [violations]tally
	Until time.Time // until when it is no member
}

// A tally counts from the first deed on, and anew when the time of the budget is over.
type tally struct {
	since time.Time
	n     int64
}

// Add counts n deeds, which may be negative to take some back, and tells whether that
// is beyond the budget.
func (c *Counter) Add(now time.Time, d Violation, n int64) (over bool) {
	t := &c.done[d]
	if now.Sub(t.since) >= Budgets[d].In {
		*t = tally{since: now}
	}
	t.n += n
	return t.n > Budgets[d].Most
}

// Ban puts the peer outside until a time, and forgets what it has done before.
func (c *Counter) Ban(until time.Time) { *c = Counter{Until: until} }

// Idle tells whether there is nothing left to remember.
func (c *Counter) Idle(now time.Time) bool {
	for d, t := range c.done {
		if now.Sub(t.since) < Budgets[d].In {
			return false
		}
	}
	return !now.Before(c.Until)
}
