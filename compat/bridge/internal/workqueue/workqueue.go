// Package workqueue has the keys at which a bridge has yet to look, and why.
package workqueue

import (
	"slices"

	"github.com/p2p-today/go2p/compat/bridge/internal/conflict"
	"github.com/p2p-today/go2p/compat/internal/legacy"
)

// A Cause is why a key has to be looked at. Both sides may have changed.
type Cause struct {
	Native  bool   // the native side has changed
	Version uint64 // of a table: what the key had come to when that was said
	Deleted bool   // of a table: the key was deleted natively

	Old        bool // the old side has changed
	Owner      string
	Time       int64
	OldDeleted bool // of a table: the key was deleted in the old network

	Lost  []legacy.WriteConflict // writes in the old network that were not accepted, the last of each sender
	Again bool                   // it was looked at already, and may be as it should not be
}

// and merges a later cause into one. The last change of the old side counts, and each sender that has lost.
func (c Cause) and(later Cause) Cause {
	if later.Version < c.Version {
		later.Version, later.Deleted = c.Version, c.Deleted
	}
	if !later.Old {
		later.Old, later.Owner, later.Time, later.OldDeleted = c.Old, c.Owner, c.Time, c.OldDeleted
	}
	var lost []legacy.WriteConflict
	for _, w := range c.Lost {
		if !slices.ContainsFunc(later.Lost, func(l legacy.WriteConflict) bool { return l.Sender == w.Sender }) {
			lost = append(lost, w)
		}
	}
	lost = append(lost, later.Lost...)
	later.Lost = lost[max(0, len(lost)-conflict.MaxLosers):]
	later.Native = later.Native || c.Native
	later.Again = later.Again && c.Again
	return later
}

// Ahead reports whether the cause knows of a newer version than the table has shown, which holds the key in some
// version or not at all. One home tells of a write that a majority may not have yet.
func (c Cause) Ahead(held bool, version uint64) bool {
	if held {
		return version < c.Version
	}
	return c.Version > 0 && !c.Deleted
}

// A Queue is an ordered set of keys with the causes to look at them. It is
//
//   - fair: keys are taken in the order in which they were added;
//   - stingy: a key that is added again before it is taken is taken once, for all causes.
type Queue struct {
	causes map[string]Cause
	order  []string
}

// New returns an empty queue.
func New() *Queue { return &Queue{causes: map[string]Cause{}} }

// Len returns how many keys wait.
func (q *Queue) Len() int { return len(q.causes) }

// Add adds a key, or one more cause to look at it.
func (q *Queue) Add(key string, c Cause) {
	if before, waits := q.causes[key]; waits {
		c = before.and(c)
	} else {
		q.order = append(q.order, key)
	}
	q.causes[key] = c
}

// AddAgain adds a key that was taken for a cause; causes that were added since are later.
func (q *Queue) AddAgain(key string, c Cause) {
	if since, waits := q.causes[key]; waits {
		q.causes[key] = c.and(since)
		return
	}
	q.Add(key, c)
}

// Take takes the first key. It reports whether there is one.
func (q *Queue) Take() (key string, c Cause, ok bool) {
	if len(q.order) == 0 {
		return "", Cause{}, false
	}
	key, q.order = q.order[0], q.order[1:]
	c = q.causes[key]
	delete(q.causes, key)
	return key, c, true
}
