package chord

// CORE: what a home keeps: which version of a key stands, and what is to be kept no more.

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"github.com/tidwall/btree"
)

// A version orders what was written to a key, without a clock: the higher counter, then
// the higher writer, then the higher hash stands.
type version struct {
	counter uint64
	writer  string // peer ID, as bytes; or legacy:<subnet>/<id>
	hash    uint64 // of the value
}

// valueHash is what a version says of its value.
func valueHash(value string) uint64 {
	sum := sha256.Sum256([]byte(value))
	return binary.BigEndian.Uint64(sum[:8])
}

// maxCounter is far more than a key can be written. What is above is refused, so that
// there is always one above what is held.
const maxCounter = 1 << 53

// maxJump is how far a counter may be ahead of what most homes hold. A home that names one
// beyond that lies, or is broken: each write goes only one above what it was told of.
const maxJump = 1 << 20

// ceiling is the highest counter to believe, of those that a majority of the homes names.
func ceiling(counters []uint64) uint64 {
	sorted := slices.Sorted(slices.Values(counters))
	return sorted[(len(sorted)-1)/2] + maxJump
}

func (v version) compare(o version) int {
	return cmp.Or(cmp.Compare(v.counter, o.counter), cmp.Compare(v.writer, o.writer), cmp.Compare(v.hash, o.hash))
}

// An item is what is known of a key. Its value is elsewhere.
type item struct {
	version
	deleted   bool
	at        time.Time // of the deletion, by the clock of who has heard of it first
	size      int       // of the value
	positions [copies]slot
}

// overhead is about what an item takes in memory beside key, writer and value.
const overhead = 192

// Limits of a key and a value, which are those of the package sync, too.
const (
	MaxKey   = 1 << 10
	MaxValue = 1 << 20
)

// tombstoneTime is how long a deletion is remembered, so that nobody who was away for less
// brings the key back.
const tombstoneTime = 7 * 24 * time.Hour

// A write is a version that a home is asked to take.
type write struct {
	version
	deleted bool
	at      time.Time
	size    int
}

// An outcome is what a home did with a write.
type outcome int

const (
	stored outcome = iota
	known          // it holds the same
	lower          // it holds a higher one, or has promised to wait for one
	full
)

// A store is what one node holds.
type store struct {
	circle
	items    btree.Map[string, *item]
	promises map[string]promise
	alive    int // items that are not deleted
	bytes    int64
	maxBytes int64
}

func newStore(k circle, maxBytes int64) *store {
	return &store{circle: k, maxBytes: maxBytes, promises: map[string]promise{}}
}

func (s *store) get(key string) *item {
	it, _ := s.items.Get(key)
	return it
}

// held is the version that stands here; the zero one if there is none.
func (s *store) held(key string) version {
	if it := s.get(key); it != nil {
		return it.version
	}
	return version{}
}

// A promise keeps what is below a version from being written, while who has seen what is
// held makes that version from it. (These are the two phases of CASPaxos, by D. Rystsov,
// 2018; a write that does not depend on what was there does without the first.)
type promise struct {
	version
	at time.Time
}

const (
	promiseTime = 10 * time.Second
	maxPromises = 1 << 16
)

// prepare promises to take nothing below a version, if that is above what is held and
// promised. Otherwise it returns what is, or nothing if there are too many promises, and
// false.
func (s *store) prepare(now time.Time, key string, v version) (above version, ok bool) {
	held, promised := s.held(key), s.promised(now, key)
	if v.compare(held) <= 0 || v.compare(promised) < 0 {
		if held.compare(promised) > 0 {
			return held, false
		}
		return promised, false
	}
	if len(s.promises) >= maxPromises {
		for key, p := range s.promises {
			if now.Sub(p.at) >= promiseTime {
				delete(s.promises, key)
			}
		}
	}
	if len(s.promises) >= maxPromises {
		return version{}, false
	}
	s.promises[key] = promise{v, now}
	return version{}, true
}

func (s *store) promised(now time.Time, key string) version {
	if p, ok := s.promises[key]; ok && now.Sub(p.at) < promiseTime {
		return p.version
	}
	return version{}
}

// put takes a write if it is above what is held, and not below what is promised.
func (s *store) put(now time.Time, key string, w write) outcome {
	it := s.get(key)
	var held version
	if it != nil {
		held = it.version
	}
	switch order := w.compare(held); {
	case order == 0:
		return known
	case order < 0 || w.compare(s.promised(now, key)) < 0:
		return lower
	}
	delete(s.promises, key)
	size, was := int64(len(key)+len(w.writer)+w.size+overhead), int64(0)
	if it != nil {
		was = it.bytes(key)
	}
	if s.bytes+size-was > s.maxBytes && !w.deleted {
		return full
	}
	s.bytes += size - was
	if it != nil && !it.deleted {
		s.alive--
	}
	if !w.deleted {
		s.alive++
	}
	positions := [copies]slot{}
	if it != nil {
		positions = it.positions
	} else {
		positions = s.positions(key)
	}
	s.items.Set(key, &item{w.version, w.deleted, w.at, w.size, positions})
	return stored
}

func (it *item) bytes(key string) int64 { return int64(len(key) + len(it.writer) + it.size + overhead) }

func (s *store) remove(key string) {
	if it, ok := s.items.Delete(key); ok {
		s.bytes -= it.bytes(key)
		if !it.deleted {
			s.alive--
		}
	}
}

// expired are the keys whose deletion need not be remembered any more.
func (s *store) expired(now time.Time) (keys []string) {
	s.items.Scan(func(key string, it *item) bool {
		if it.deleted && now.Sub(it.at) > tombstoneTime {
			keys = append(keys, key)
		}
		return true
	})
	return keys
}

// outside are keys, at most so many, that have no position in a reach.
func (s *store) outside(self slot, r reach, most int) (keys []string) {
	s.items.Scan(func(key string, it *item) bool {
		for _, p := range it.positions {
			if s.covers(self, r, p) {
				return true
			}
		}
		keys = append(keys, key)
		return len(keys) < most
	})
	return keys
}

// A selection is what is asked for of what a node holds: keys with a position in an arc.
type selection struct {
	arc
	first  bool   // the first position counts alone
	start  string // keys from this one on
	prefix string
	dead   bool // deletions, too
}

// scanned is how many items are looked at for one page at most, so that no question takes
// long.
const scanned = 20000

// page returns entries without their values, in the order of the keys, and the key to go
// on from if there may be more. If values will be added, they count towards the page's size.
func (s *store) page(sel selection, values bool) (entries []entry, next string, more bool) {
	seen, bytes := 0, 0
	s.items.Ascend(max(sel.start, sel.prefix), func(key string, it *item) bool {
		if !strings.HasPrefix(key, sel.prefix) {
			return false
		}
		positions := it.positions[:]
		if sel.first {
			positions = positions[:1]
		}
		chosen := (sel.dead || !it.deleted) && slices.ContainsFunc(positions, func(p slot) bool { return s.in(sel.arc, p) })
		if seen++; seen > scanned {
			next, more = key, true
			return false
		}
		if !chosen {
			return true
		}
		size := len(key) + len(it.writer)
		if values {
			size += it.size
		}
		if len(entries) == maxPage || len(entries) > 0 && bytes+size > pageBytes {
			next, more = key, true
			return false
		}
		bytes += size
		entries = append(entries, entry{key: key, write: write{version: it.version, deleted: it.deleted, at: it.at}})
		return true
	})
	return entries, next, more
}
