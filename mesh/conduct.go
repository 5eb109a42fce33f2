package mesh

// CORE: what a peer may do, and how often, before it is put outside.

import "time"

// A deed is something that peers do, or cause, and that is counted.
type deed int

const (
	badBatch      deed = iota // a batch that does not decode or verify
	badFrame                  // a frame of a link or of whispers that does not decode, or is too large
	refusedStream             // a stream beyond those that a member may have
	linkFrame                 // a frame of a link
	uselessBytes              // bytes given to gossipsub, less those of new batches
	authored                  // broadcasts of which it is the author, whoever passed them on
	authoredBytes             // bytes of their batches
	deeds
)

// A budget is how much of a deed is tolerated in a stretch of time.
type budget struct {
	most int64
	in   time.Duration
	says string
}

// budgets are far above what honest peers do, but for the first two, which they do not
// do at all.
var budgets = [deeds]budget{
	badBatch:      {9, time.Minute, "broadcasts that do not decode or verify"},
	badFrame:      {9, time.Minute, "frames that do not decode"},
	refusedStream: {250, time.Minute, "streams beyond those it may have"},
	linkFrame:     {200_000, 10 * time.Second, "messages on the link"},
	uselessBytes:  {256 << 20, 10 * time.Second, "bytes of broadcasts that are not new"},
	authored:      {5_000_000, 10 * time.Second, "broadcasts"},
	authoredBytes: {2 << 30, 10 * time.Second, "bytes of broadcasts"},
}

// conduct is what one peer has done lately, and whether it is outside for that.
type conduct struct {
	done    [deeds]tally
	outside time.Time // until when it is no member
}

// A tally counts from the first deed on, and anew when the time of the budget is over.
type tally struct {
	since time.Time
	n     int64
}

// add counts n deeds, which may be negative to take some back, and tells whether that
// is beyond the budget.
func (c *conduct) add(now time.Time, d deed, n int64) (over bool) {
	t := &c.done[d]
	if now.Sub(t.since) >= budgets[d].in {
		*t = tally{since: now}
	}
	t.n += n
	return t.n > budgets[d].most
}

// exclude puts the peer outside until a time, and forgets what it has done before.
func (c *conduct) exclude(until time.Time) { *c = conduct{outside: until} }

// over tells whether there is nothing left to remember.
func (c *conduct) over(now time.Time) bool {
	for d, t := range c.done {
		if now.Sub(t.since) < budgets[d].in {
			return false
		}
	}
	return !now.Before(c.outside)
}
