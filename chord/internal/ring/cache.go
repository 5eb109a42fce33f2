package ring

import (
	"cmp"
	"slices"
)

// MaxCached is the size of a location cache.
const MaxCached = 4096

// hints are nodes that are or were in a slot. Nobody keeps them up to date: who is asked
// says what is not so any more.
type Cache struct {
	k     Circle
	nodes []Node // by slot; one for each slot, and for each peer
	slots map[string]Slot
}

func newCache(k Circle) *Cache {
	return &Cache{k: k, slots: map[string]Slot{}}
}

func (h *Cache) index(s Slot) (int, bool) {
	return slices.BinarySearchFunc(h.nodes, s, func(n Node, s Slot) int { return cmp.Compare(n.Slot, s) })
}

// learn notes where a peer is. Who was thought to be there, is not; and with no room left
// another node is forgotten.
func (h *Cache) learn(n Node) {
	if was, ok := h.slots[n.Peer]; ok && was == n.Slot {
		return
	}
	h.forget(n.Peer)
	i, taken := h.index(n.Slot)
	if taken {
		delete(h.slots, h.nodes[i].Peer)
		h.nodes[i] = n
	} else {
		if len(h.nodes) == MaxCached {
			h.forget(h.nodes[(i+MaxCached/2)%MaxCached].Peer) // far away
			i, _ = h.index(n.Slot)
		}
		h.nodes = slices.Insert(h.nodes, i, n)
	}
	h.slots[n.Peer] = n.Slot
}

func (h *Cache) forget(peer string) {
	s, ok := h.slots[peer]
	if !ok {
		return
	}
	delete(h.slots, peer)
	i, _ := h.index(s)
	h.nodes = slices.Delete(h.nodes, i, i+1)
}

// answer returns the node nearest at or before a position, and the nodes that follow it;
// empty if none is known.
func (h *Cache) answer(position Slot) Answer {
	if len(h.nodes) == 0 {
		return nil
	}
	i, exact := h.index(position)
	if !exact {
		i += len(h.nodes) - 1
	}
	a := make(Answer, min(Copies, len(h.nodes)))
	for j := range a {
		a[j] = h.nodes[(i+j)%len(h.nodes)]
	}
	return a
}
