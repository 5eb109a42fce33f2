// Package liveness decides when a silent member is pinged, and when it is given up.
package liveness

import "time"

const (
	silence   = 2 * time.Second // without a word from a member, it is pinged
	maxMisses = 3               // pings without an answer that end a membership
	pingRate  = 4               // pings a second at most, while all are answered
)

// Patience is how long a member may be silent before it is pinged by one who has so many
// neighbours. What pings cost a peer does not grow with them.
func Patience(neighbours int) time.Duration {
	return max(silence, time.Duration(neighbours)*time.Second/pingRate)
}

// Tracker is what a member's silence has led to so far. Its methods are given
// when the member was last heard, which the caller keeps: that changes with
// each message, liveness only with each ping.
type Tracker struct {
	pinged time.Time // the last ping; zero before the first
	misses int
}

// Deadline says when advance wants to be called next. The first ping is due at
// once, so that the round-trip time is known early; one that is not answered is
// repeated soon, whatever the patience.
func (l *Tracker) Deadline(heard time.Time, patience time.Duration) time.Time {
	if l.pinged.IsZero() {
		return heard
	}
	if l.unanswered(heard) {
		return l.pinged.Add(silence)
	}
	return heard.Add(patience)
}

func (l *Tracker) unanswered(heard time.Time) bool {
	return !l.pinged.IsZero() && !l.pinged.Before(heard)
}

// Advance tells whether to ping now, or that the member is lost.
func (l *Tracker) Advance(now, heard time.Time, patience time.Duration) (ping, lost bool) {
	if now.Before(l.Deadline(heard, patience)) {
		return false, false
	}
	if l.unanswered(heard) {
		l.misses++
	} else {
		l.misses = 0
	}
	if l.misses >= maxMisses {
		return false, true
	}
	l.pinged = now
	return true, false
}
