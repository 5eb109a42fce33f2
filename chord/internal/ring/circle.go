package ring

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"iter"
)

// Copies is how many positions a key has, and how many replicas if there are as many nodes.
const Copies = 5

// A Slot is a place on the circle, below 2^k.
type Slot uint64

// A Circle is its k, from 1 to 32. It has 2^k slots; after the last comes the first.
type Circle int

// At returns the slot so many steps clockwise from another.
func (k Circle) At(from Slot, steps uint64) Slot {
	return (from + Slot(steps)) & (1<<k - 1)
}

// Distance returns how many steps it is clockwise from one slot to another.
func (k Circle) Distance(from, to Slot) uint64 { return uint64((to - from) & (1<<k - 1)) }

// reduce returns a hash, as one big-endian number, modulo 2^k.
func (k Circle) reduce(hash []byte) Slot {
	return Slot(binary.BigEndian.Uint64(hash[len(hash)-8:])) & (1<<k - 1)
}

// Position returns the slot of a key by one of the five hashes.
func (k Circle) Position(key string, index int) Slot {
	switch index {
	case 0:
		h := sha1.Sum([]byte(key))
		return k.reduce(h[:])
	case 1:
		h := sha256.Sum224([]byte(key))
		return k.reduce(h[:])
	case 2:
		h := sha256.Sum256([]byte(key))
		return k.reduce(h[:])
	case 3:
		h := sha512.Sum384([]byte(key))
		return k.reduce(h[:])
	}
	h := sha512.Sum512([]byte(key))
	return k.reduce(h[:])
}

// Positions returns the five slots of a key, from five hashes of it, as in protocol 0.4.
func (k Circle) Positions(key string) (all [Copies]Slot) {
	for i := range all {
		all[i] = k.Position(key, i)
	}
	return all
}

// Probe yields the slots that a peer asks for, in this order: that of the hash of its ID, then
// the others in a fixed order, each once.
func (k Circle) Probe(peer string) iter.Seq[Slot] {
	sum := sha256.Sum256([]byte(peer))
	first := k.reduce(sum[:])
	step := binary.BigEndian.Uint64(sum[:8]) | 1 // odd: it meets all before it meets one again
	return func(yield func(Slot) bool) {
		for i := range uint64(1) << k {
			if !yield(k.At(first, i*step)) {
				return
			}
		}
	}
}

// A Node is a peer that stores, and its slot.
type Node struct {
	Slot Slot
	Peer string // peer ID, as bytes
}
