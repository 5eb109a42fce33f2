// Package backoff says how long to pause before something that failed is tried again. It
// computes, and waits for nothing.
package backoff

import (
	"math/rand/v2"
	"time"
)

// A Policy is how long to pause after failures in a row: Min after the first, twice as
// long after each further one, Max at most.
//
// With jitter, the pause is drawn from that less the part Less to that and the part More,
// so that peers that failed at one moment do not try again at one moment. A pause with
// jitter may be longer than Max.
type Policy struct {
	Min, Max   time.Duration
	Less, More float64 // parts of the pause, such as 0.2 and 0.2; none are no jitter
}

// After returns the pause after so many failures in a row; with less than one it is that
// after one. The source of chance is not used, and may be nil, if the policy has no jitter.
func (p Policy) After(failures int, rng *rand.Rand) time.Duration {
	pause := min(p.Min, p.Max)
	for range failures - 1 {
		if pause >= p.Max-pause {
			pause = p.Max
			break
		}
		pause *= 2
	}
	if p.Less == 0 && p.More == 0 {
		return pause
	}
	low := float64(pause) * (1 - p.Less)
	return time.Duration(low + float64(pause)*(p.Less+p.More)*rng.Float64())
}

// A Backoff counts failures in a row. It is not safe for concurrent use.
type Backoff struct {
	Policy
	failures int
}

// Next counts a failure and returns the pause after it.
func (b *Backoff) Next(rng *rand.Rand) time.Duration {
	b.failures++
	return b.After(b.failures, rng)
}

// Reset begins anew, since something succeeded.
func (b *Backoff) Reset() { b.failures = 0 }

// Failures returns how many failures in a row were counted.
func (b *Backoff) Failures() int { return b.failures }
