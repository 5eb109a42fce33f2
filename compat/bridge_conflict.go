package compat

// CORE: who has lost a contest for a key, and has to be told of it under its own name.

import (
	"slices"
	"time"
)

// A rival is an old node that has written a key without knowing that somebody else has it.
// It may hold that for its own lease, and take no more of whom others hold for the owner.
type rival struct {
	id    string
	text  bool      // the ID travels as text
	until time.Time // its lease
}

// rivals are those of each key.
type rivals map[string][]rival

const (
	maxRivals    = 8    // of a key; the oldest give way
	maxContested = 4096 // keys; then all are forgotten
)

// add notes that a node has lost a contest.
func (r rivals) add(now time.Time, key string, v rival) {
	if _, known := r[key]; !known && len(r) >= maxContested {
		clear(r)
	}
	v.until = now.Add(lease)
	list := append(r.others(now, key, v.id), v)
	r[key] = list[max(0, len(list)-maxRivals):]
}

// others are those of a key but one, as long as their leases last.
func (r rivals) others(now time.Time, key, id string) []rival {
	return slices.DeleteFunc(slices.Clone(r[key]), func(v rival) bool { return v.id == id || now.After(v.until) })
}

// told takes it that a key was written, or deleted, under an ID, and will be under those
// of its rivals: their leases are renewed, or end. It returns the others.
func (r rivals) told(now time.Time, key, id string, deleted bool) []rival {
	list := r.others(now, key, "")
	delete(r, key)
	if !deleted {
		for _, v := range list {
			r.add(now, key, v)
		}
	}
	return slices.DeleteFunc(list, func(v rival) bool { return v.id == id })
}
