// Package backoff computes how long to pause before an operation that failed is tried again.
// It does not wait itself.
package backoff

import (
	"math/rand/v2"
	"time"
)

// A Policy is the rule for the pause after failures in a row. The pause is Min after the
// first failure, doubles with each further one, and stays at Max.
//
// Jitter keeps peers that failed at the same moment from trying again at the same moment.
// The pause is then drawn from the range pause×(1-Less) to pause×(1+More), so that it may
// exceed Max.
type Policy struct {
	Min, Max   time.Duration
	Less, More float64 // fractions of the pause, such as 0.2; both 0 for no jitter
}

// After returns the pause after a number of failures in a row. Numbers below 1 count as 1.
// Without jitter the random source is not used and may be nil.
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

// Reset sets the count to zero, after a success.
func (b *Backoff) Reset() { b.failures = 0 }

// Failures returns the number of failures in a row.
func (b *Backoff) Failures() int { return b.failures }
