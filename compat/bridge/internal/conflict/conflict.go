// Package conflict remembers the losing writers of write conflicts.
//
// A losing writer is an old node that has written a key without knowing that somebody else has it. It keeps its own
// lease, and accepts only writes that bear its own ID. The bridge therefore repeats what stands under that ID, for as
// long as the lease lasts.
package conflict

import (
	"slices"
	"time"

	"github.com/p2p-today/go2p/compat/internal/legacy"
)

// A Loser is a losing writer of a key.
type Loser struct {
	ID   string
	Text bool // the ID travels as text

	until time.Time // its lease
}

// Losers are the losing writers of each key.
type Losers map[string][]Loser

const (
	// MaxLosers is how many losing writers of a key are remembered; the oldest give way.
	MaxLosers = 8
	maxKeys   = 4096 // that have some; then all are forgotten
)

// Add notes that a node has lost a key.
func (l Losers) Add(now time.Time, key string, v Loser) {
	if _, known := l[key]; !known && len(l) >= maxKeys {
		clear(l)
	}
	v.until = now.Add(legacy.Lease)
	list := append(l.others(now, key, v.ID), v)
	l[key] = list[max(0, len(list)-MaxLosers):]
}

// others returns the losing writers of a key, except one, whose leases have not ended.
func (l Losers) others(now time.Time, key, id string) []Loser {
	return slices.DeleteFunc(slices.Clone(l[key]), func(v Loser) bool { return v.ID == id || now.After(v.until) })
}

// Written notes that a key was written, or deleted, under an ID, and will be under those of its losing writers: their
// leases begin again, or end. It returns the losing writers except that one.
func (l Losers) Written(now time.Time, key, id string, deleted bool) []Loser {
	list := l.others(now, key, "")
	delete(l, key)
	if !deleted {
		for _, v := range list {
			l.Add(now, key, v)
		}
	}
	return slices.DeleteFunc(list, func(v Loser) bool { return v.ID == id })
}
