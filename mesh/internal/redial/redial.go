// Package redial decides when a peer that should be a neighbour and is not is dialled again.
package redial

import (
	"math/rand/v2"
	"slices"
	"time"
)

const (
	firstRedial = 1 * time.Second
	maxRedial   = 30 * time.Second
)

// Backoff returns how long to wait after the given number of failures in a row:
// 1 s, doubling to 30 s, give or take a fifth so that peers which lost each
// other at one moment do not come back at one moment.
func Backoff(failures int, rng *rand.Rand) time.Duration {
	d := maxRedial
	if failures < 6 {
		d = min(maxRedial, firstRedial<<max(0, failures-1))
	}
	return time.Duration(float64(d) * (0.8 + 0.4*rng.Float64()))
}

// Schedule are the peers to dial again, for ever, until they are members or
// somebody calls it off.
type Schedule struct {
	rng     *rand.Rand
	targets map[string]*target
}

// New returns a schedule without peers.
func New(rng *rand.Rand) *Schedule {
	return &Schedule{rng: rng, targets: map[string]*target{}}
}

// Len returns the number of peers to dial.
func (r *Schedule) Len() int { return len(r.targets) }

type target struct {
	failures int
	next     time.Time
	dialling bool
}

// Add wants id dialled at once. Who is already wanted keeps its turn.
func (r *Schedule) Add(now time.Time, id string) {
	if r.targets[id] == nil {
		r.targets[id] = &target{next: now}
	}
}

// Remove calls the redialling of id off.
func (r *Schedule) Remove(id string) { delete(r.targets, id) }

// Due returns, in order of their ids, who is to be dialled now. Each of them is
// reported with failed, or removed, before it comes up again.
func (r *Schedule) Due(now time.Time) []string {
	var ids []string
	for id, t := range r.targets {
		if !t.dialling && !now.Before(t.next) {
			t.dialling = true
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// Failed puts id off, longer each time.
func (r *Schedule) Failed(now time.Time, id string) {
	if t := r.targets[id]; t != nil {
		t.failures++
		t.dialling = false
		t.next = now.Add(Backoff(t.failures, r.rng))
	}
}

// Deadline says when somebody is due next; zero if never.
func (r *Schedule) Deadline() time.Time {
	var first time.Time
	for _, t := range r.targets {
		if !t.dialling && (first.IsZero() || t.next.Before(first)) {
			first = t.next
		}
	}
	return first
}
