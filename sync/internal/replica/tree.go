package replica

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"iter"
	"math/bits"
	"slices"
	"time"

	"github.com/p2p-today/go2p/internal/value"
)

const branching = 64 // children or entries of a node, at most; half of it after a split

// An Entry is a record as a replica holds it.
type Entry struct {
	Record
	hash     Digest
	renewed  time.Duration // when its lease began, by the count of this replica
	Revision uint64        // of the change that brought it
	batch    *Batch        // that proves it; nil for what nobody has signed yet
	leaf     int           // its place there
}

// Decode returns the value of an entry.
func (e *Entry) Decode() (any, error) {
	v, err := value.Decode([]byte(e.Value))
	if err != nil {
		return nil, fmt.Errorf("value of %q: %w", e.Key, err)
	}
	return v, nil
}

// A summary is a commutative fingerprint of a range: how many records there are, and the sum
// of their hashes.
type summary struct {
	count  int
	hi, lo uint64
}

func (s *summary) add(o summary) {
	var carry uint64
	s.count += o.count
	s.lo, carry = bits.Add64(s.lo, o.lo, 0)
	s.hi, _ = bits.Add64(s.hi, o.hi, carry)
}

func (s *summary) sub(o summary) {
	var borrow uint64
	s.count -= o.count
	s.lo, borrow = bits.Sub64(s.lo, o.lo, 0)
	s.hi, _ = bits.Sub64(s.hi, o.hi, borrow)
}

func (e *Entry) summary() summary {
	return summary{1, binary.BigEndian.Uint64(e.hash[:8]), binary.BigEndian.Uint64(e.hash[8:])}
}

// fingerprint returns a salted hash of the summary. A peer that chooses its records can
// choose their sum, but not this hash.
func (s summary) fingerprint(salt []byte) Digest {
	b := append(make([]byte, 0, 64), salt...)
	b = binary.BigEndian.AppendUint64(b, uint64(s.count))
	b = binary.BigEndian.AppendUint64(b, s.hi)
	b = binary.BigEndian.AppendUint64(b, s.lo)
	sum := sha256.Sum256(b)
	return Digest(sum[:])
}

// A tree is a B+ tree of entries by key. Each node has the summary of what is below it.
type tree struct{ root *node }

type node struct {
	summary
	low      string   // at most the lowest key below it, and above all keys before it
	entries  []*Entry // of a leaf, sorted by key
	children []*node  // of an inner node, none empty
}

// child returns the place of the child that a key belongs to.
func (n *node) child(key string) int {
	lo, hi := 0, len(n.children)-1
	for lo < hi {
		if at := (lo + hi + 1) / 2; n.children[at].low <= key {
			lo = at
		} else {
			hi = at - 1
		}
	}
	return lo
}

// find returns the place of a key in a leaf, and reports whether the key is there.
func (n *node) find(key string) (int, bool) {
	lo, hi := 0, len(n.entries)
	for lo < hi {
		if at := (lo + hi) / 2; n.entries[at].Key < key {
			lo = at + 1
		} else {
			hi = at
		}
	}
	return lo, lo < len(n.entries) && n.entries[lo].Key == key
}

// get returns the entry of a key, and nil if there is none.
func (t *tree) get(key string) *Entry {
	if t.root == nil {
		return nil
	}
	n := t.root
	for n.children != nil {
		n = n.children[n.child(key)]
	}
	if i, found := n.find(key); found {
		return n.entries[i]
	}
	return nil
}

// put puts an entry in, if agree accepts what it replaces, which is nil for nothing. It
// returns what was there, and reports whether the entry is in.
func (t *tree) put(e *Entry, agree func(old *Entry) bool) (old *Entry, in bool) {
	if t.root == nil {
		if !agree(nil) {
			return nil, false
		}
		t.root = &node{entries: []*Entry{e}, summary: e.summary()}
		return nil, true
	}
	old, sibling, in := t.root.put(e, agree)
	if sibling != nil {
		root := &node{children: []*node{t.root, sibling}, summary: t.root.summary}
		root.add(sibling.summary)
		t.root = root
	}
	return old, in
}

func (n *node) put(e *Entry, agree func(old *Entry) bool) (old *Entry, sibling *node, in bool) {
	if n.children == nil {
		i, found := n.find(e.Key)
		if found {
			old = n.entries[i]
		}
		if !agree(old) {
			return old, nil, false
		}
		if found {
			n.entries[i] = e
			n.sub(old.summary())
		} else {
			n.entries = slices.Insert(n.entries, i, e)
		}
		n.add(e.summary())
		return old, n.split(), true
	}
	i := n.child(e.Key)
	if old, sibling, in = n.children[i].put(e, agree); !in {
		return old, nil, false
	}
	if sibling != nil {
		n.children = slices.Insert(n.children, i+1, sibling)
	}
	n.add(e.summary())
	if old != nil {
		n.sub(old.summary())
	}
	return old, n.split(), true
}

// split moves half of a node that is full to a new sibling.
func (n *node) split() *node {
	if len(n.entries) < branching && len(n.children) < branching {
		return nil
	}
	s := &node{}
	if n.children == nil {
		half := len(n.entries) / 2
		s.entries = slices.Clone(n.entries[half:])
		n.entries = slices.Clone(n.entries[:half])
		s.low = s.entries[0].Key
		for _, e := range s.entries {
			s.add(e.summary())
		}
	} else {
		half := len(n.children) / 2
		s.children = slices.Clone(n.children[half:])
		n.children = slices.Clone(n.children[:half])
		s.low = s.children[0].low
		for _, c := range s.children {
			s.add(c.summary)
		}
	}
	n.sub(s.summary)
	return s
}

// remove removes the entry of a key and returns it, and nil if there is none.
func (t *tree) remove(key string) *Entry {
	if t.root == nil {
		return nil
	}
	e := t.root.remove(key)
	for len(t.root.children) == 1 {
		t.root = t.root.children[0]
	}
	if t.root.count == 0 {
		t.root = nil
	}
	return e
}

func (n *node) remove(key string) (e *Entry) {
	if n.children == nil {
		if i, found := n.find(key); found {
			e = n.entries[i]
			n.entries = slices.Delete(n.entries, i, i+1)
			n.sub(e.summary())
		}
		return e
	}
	i := n.child(key)
	if e = n.children[i].remove(key); e != nil {
		n.sub(e.summary())
		n.shrink(i)
	}
	return e
}

// shrink joins a child that has become small with a child beside it.
func (n *node) shrink(i int) {
	c := n.children[i]
	if c.count == 0 {
		n.children = slices.Delete(n.children, i, i+1)
		return
	}
	if len(c.entries)+len(c.children) >= branching/4 || len(n.children) == 1 {
		return
	}
	i = min(i, len(n.children)-2)
	a, b := n.children[i], n.children[i+1]
	if len(a.entries)+len(b.entries)+len(a.children)+len(b.children) >= branching {
		return
	}
	a.entries = append(a.entries, b.entries...)
	a.children = append(a.children, b.children...)
	a.add(b.summary)
	n.children = slices.Delete(n.children, i+1, i+2)
}

// A span is a range of keys: from lo on, and below hi. A hi of "" is no bound.
type span struct{ lo, hi string }

func (s span) has(key string) bool { return key >= s.lo && (s.hi == "" || key < s.hi) }

// summarise returns the summary of a range.
func (t *tree) summarise(in span) (sum summary) {
	if t.root != nil {
		sum = t.root.summary
		sum.sub(t.root.below(in.lo))
		if in.hi != "" {
			rest := t.root.summary
			rest.sub(t.root.below(in.hi))
			sum.sub(rest)
		}
	}
	return sum
}

// below returns the summary of the keys below a key.
func (n *node) below(key string) (sum summary) {
	for n.children != nil {
		i := n.child(key)
		for _, c := range n.children[:i] {
			sum.add(c.summary)
		}
		n = n.children[i]
	}
	i, _ := n.find(key)
	for _, e := range n.entries[:i] {
		sum.add(e.summary())
	}
	return sum
}

// at returns the i-th entry, from 0.
func (t *tree) at(i int) *Entry {
	n := t.root
	for n.children != nil {
		for _, c := range n.children {
			if i < c.count {
				n = c
				break
			}
			i -= c.count
		}
	}
	return n.entries[i]
}

// len returns the number of entries.
func (t *tree) len() int {
	if t.root == nil {
		return 0
	}
	return t.root.count
}

// all yields the entries of a range in order. The tree must not change meanwhile.
func (t *tree) all(in span) iter.Seq[*Entry] {
	return func(yield func(*Entry) bool) {
		if t.root != nil {
			t.root.all(in, yield)
		}
	}
}

func (n *node) all(in span, yield func(*Entry) bool) bool {
	if n.children == nil {
		i, _ := n.find(in.lo)
		for _, e := range n.entries[i:] {
			if in.hi != "" && e.Key >= in.hi {
				return false
			}
			if !yield(e) {
				return false
			}
		}
		return true
	}
	for _, c := range n.children[n.child(in.lo):] {
		if !c.all(in, yield) {
			return false
		}
	}
	return true
}
