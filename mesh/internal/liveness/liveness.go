// Package liveness decides when a silent member is pinged, and when it is given up.
package liveness

import "time"

const (
	silence   = 2 * time.Second // without a word from a member, it is pinged
	maxMisses = 3               // pings without an answer that end a membership
	pingRate  = 4               // pings a second at most, while all are answered
)

// Patience returns how long a member may be silent before a peer with so many neighbours
// pings it. What pings cost a peer does not grow with its neighbours.
func Patience(neighbours int) time.Duration {
	return max(silence, time.Duration(neighbours)*time.Second/pingRate)
}

// A Tracker is what the silence of one member has led to so far. Its methods are given
// when the member was last heard, which the caller keeps: that changes with each message, a
// Tracker only with each ping. The zero value is that of a new member.
type Tracker struct {
	pinged time.Time // the last ping; zero before the first
	misses int
}

// Effects is what a tracker wants done.
type Effects struct {
	Ping bool // the member
	Lost bool // the member is to be given up
}

// Deadline returns when Advance has something to do next. The first ping is due at
// once, so that the round-trip time is known early. A ping that is not answered is
// repeated soon, whatever the patience.
func (t *Tracker) Deadline(heard time.Time, patience time.Duration) time.Time {
	if t.pinged.IsZero() {
		return heard
	}
	if t.unanswered(heard) {
		return t.pinged.Add(silence)
	}
	return heard.Add(patience)
}

func (t *Tracker) unanswered(heard time.Time) bool {
	return !t.pinged.IsZero() && !t.pinged.Before(heard)
}

// Advance returns what is to be done now.
func (t *Tracker) Advance(now, heard time.Time, patience time.Duration) Effects {
	if now.Before(t.Deadline(heard, patience)) {
		return Effects{}
	}
	if t.unanswered(heard) {
		t.misses++
	} else {
		t.misses = 0
	}
	if t.misses >= maxMisses {
		return Effects{Lost: true}
	}
	t.pinged = now
	return Effects{Ping: true}
}
