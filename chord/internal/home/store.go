package home

import (
	"slices"
	"strings"
	"time"

	"github.com/tidwall/btree"

	"github.com/p2p-today/go2p/chord/internal/ring"
)

const (
	// TombstoneTime is how long a deletion is remembered. A node that was away for less
	// cannot bring the key back.
	TombstoneTime = 7 * 24 * time.Hour

	overhead = 192 // bytes that an item takes in memory beside key, writer and value, about
)

// A Store knows the versions that one node stores, and the promises that it has given. The
// values are elsewhere: the caller keeps them in a storage engine, in the order in which
// the store took their versions.
type Store struct {
	k        ring.Circle
	items    btree.Map[string, *item]
	promises map[string]promise
	alive    int // items that are not deleted
	bytes    int64
	maxBytes int64
}

type item struct {
	Write
	positions [ring.Copies]ring.Slot
}

func (it *item) bytes(key string) int64 {
	return int64(len(key) + len(it.Writer) + it.Size + overhead)
}

// A promise refuses writes below a version, while its holder makes that version from what
// it has read. Together with Put these are the two phases of CASPaxos (D. Rystsov, 2018). A
// write that does not depend on what was there does without the first.
type promise struct {
	Version
	at time.Time
}

const (
	promiseTime = 10 * time.Second
	maxPromises = 1 << 16
)

// NewStore returns an empty store, which refuses new versions beyond maxBytes.
func NewStore(k ring.Circle, maxBytes int64) *Store {
	return &Store{k: k, maxBytes: maxBytes, promises: map[string]promise{}}
}

// Len returns the number of keys, deleted ones included.
func (s *Store) Len() int { return s.items.Len() }

// Alive returns the number of keys that are not deleted.
func (s *Store) Alive() int { return s.alive }

// Bytes returns what counts towards the limit, and the limit.
func (s *Store) Bytes() (used, limit int64) { return s.bytes, s.maxBytes }

// Keys returns all keys in order, deleted ones included.
func (s *Store) Keys() []string { return s.items.Keys() }

// Get returns what is stored of a key; ok is false if that is nothing.
func (s *Store) Get(key string) (w Write, ok bool) {
	it, ok := s.items.Get(key)
	if !ok {
		return Write{}, false
	}
	return it.Write, true
}

// Version returns the version that stands here, the zero one if there is none.
func (s *Store) Version(key string) Version {
	w, _ := s.Get(key)
	return w.Version
}

// Prepare promises to take nothing below a version, if that is above what stands and not
// below what is promised. If not, it returns false and the version that is above. That is
// the zero version if there are too many promises.
func (s *Store) Prepare(now time.Time, key string, v Version) (above Version, ok bool) {
	standing, promised := s.Version(key), s.promised(now, key)
	if v.Compare(standing) <= 0 || v.Compare(promised) < 0 {
		if standing.Compare(promised) > 0 {
			return standing, false
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
		return Version{}, false
	}
	s.promises[key] = promise{v, now}
	return Version{}, true
}

func (s *Store) promised(now time.Time, key string) Version {
	if p, ok := s.promises[key]; ok && now.Sub(p.at) < promiseTime {
		return p.Version
	}
	return Version{}
}

// An Outcome is what a store did with a write.
type Outcome int

// The outcomes. The numbers are those of the wire.
const (
	Stored Outcome = iota
	Known          // the same version stands
	Lower          // a higher version stands, or is promised
	Full           // there is no room
)

// Effects are what follows from a write. If the outcome is Stored the caller gives the
// write to the storage engine.
type Effects struct {
	Outcome Outcome
	Version Version // that stands, or the promised one if that is why the write is Lower
}

// Put takes a write that is above what stands and not below what is promised.
func (s *Store) Put(now time.Time, key string, w Write) Effects {
	it, ok := s.items.Get(key)
	var standing Version
	if ok {
		standing = it.Version
	}
	promised := s.promised(now, key)
	switch order := w.Compare(standing); {
	case order == 0:
		return Effects{Known, standing}
	case order < 0 || w.Compare(promised) < 0:
		if promised.Compare(standing) > 0 {
			standing = promised
		}
		return Effects{Lower, standing}
	}
	delete(s.promises, key)
	added := &item{Write: w}
	grows := added.bytes(key)
	if ok {
		grows -= it.bytes(key)
		added.positions = it.positions
	} else {
		added.positions = s.k.Positions(key)
	}
	if s.bytes+grows > s.maxBytes && !w.Deleted {
		return Effects{Full, standing}
	}
	s.bytes += grows
	if ok && !it.Deleted {
		s.alive--
	}
	if !w.Deleted {
		s.alive++
	}
	s.items.Set(key, added)
	return Effects{Stored, w.Version}
}

// Remove forgets keys.
func (s *Store) Remove(keys ...string) {
	for _, key := range keys {
		if it, ok := s.items.Delete(key); ok {
			s.bytes -= it.bytes(key)
			if !it.Deleted {
				s.alive--
			}
		}
	}
}

// Expired returns the keys whose deletion need not be remembered any more.
func (s *Store) Expired(now time.Time) (keys []string) {
	s.items.Scan(func(key string, it *item) bool {
		if it.Deleted && now.Sub(it.At) > TombstoneTime {
			keys = append(keys, key)
		}
		return true
	})
	return keys
}

// Outside returns keys, at most most of them, that have no position in a reach of a node.
func (s *Store) Outside(self ring.Slot, r ring.Reach, most int) (keys []string) {
	s.items.Scan(func(key string, it *item) bool {
		for _, p := range it.positions {
			if s.k.Covers(self, r, p) {
				return true
			}
		}
		keys = append(keys, key)
		return len(keys) < most
	})
	return keys
}

// Limits of one page of entries.
const (
	MaxPage   = 256
	pageBytes = 512 << 10 // of keys, writers and values, unless one entry is larger
	scanned   = 20000     // items that are looked at, so that no question takes long
)

// A Selection is what is asked for of a store: keys with a position in an arc.
type Selection struct {
	ring.Arc
	First  bool   // the first position counts alone
	Start  string // keys from this one on
	Prefix string
	Dead   bool // deletions are included
}

// A Page is a part of a selection.
type Page struct {
	Entries []Entry // without their values
	Next    string  // the key to go on from
	More    bool    // there may be more
}

// Page returns entries in the order of their keys. If the caller adds the values, their
// sizes count towards the page's.
func (s *Store) Page(sel Selection, values bool) (p Page) {
	seen, bytes := 0, 0
	s.items.Ascend(max(sel.Start, sel.Prefix), func(key string, it *item) bool {
		if !strings.HasPrefix(key, sel.Prefix) {
			return false
		}
		positions := it.positions[:]
		if sel.First {
			positions = positions[:1]
		}
		inArc := func(p ring.Slot) bool { return s.k.In(sel.Arc, p) }
		chosen := (sel.Dead || !it.Deleted) && slices.ContainsFunc(positions, inArc)
		size := 0
		if chosen {
			size = len(key) + len(it.Writer)
			if values {
				size += it.Size
			}
		}
		if seen++; seen > scanned || chosen && (len(p.Entries) == MaxPage || len(p.Entries) > 0 && bytes+size > pageBytes) {
			p.Next, p.More = key, true
			return false
		}
		if chosen {
			bytes += size
			p.Entries = append(p.Entries, Entry{Key: key, Write: Write{Version: it.Version, Deleted: it.Deleted, At: it.At}})
		}
		return true
	})
	return p
}
