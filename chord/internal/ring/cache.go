package ring

import (
	"cmp"
	"slices"
)

// MaxCached is the size of a location cache, in nodes.
const MaxCached = 4096

// A cache is a location cache: nodes that are or were in a slot. It is not kept up to date;
// a node that is asked says what is not so any more.
//
// Invariant: nodes has one node for each slot and for each peer, and slots the same by peer.
type cache struct {
	k     Circle
	nodes []Node // by slot
	slots map[string]Slot
}

func newCache(k Circle) *cache {
	return &cache{k: k, slots: map[string]Slot{}}
}

func (c *cache) index(s Slot) (int, bool) {
	return slices.BinarySearchFunc(c.nodes, s, func(n Node, s Slot) int { return cmp.Compare(n.Slot, s) })
}

// learn notes where a peer is. It forgets another peer in that slot, the peer's former slot,
// and if there is no room a node that is far away.
func (c *cache) learn(n Node) {
	if was, ok := c.slots[n.Peer]; ok && was == n.Slot {
		return
	}
	c.forget(n.Peer)
	i, taken := c.index(n.Slot)
	if taken {
		delete(c.slots, c.nodes[i].Peer)
		c.nodes[i] = n
	} else {
		if len(c.nodes) == MaxCached {
			c.forget(c.nodes[(i+MaxCached/2)%MaxCached].Peer) // far away
			i, _ = c.index(n.Slot)
		}
		c.nodes = slices.Insert(c.nodes, i, n)
	}
	c.slots[n.Peer] = n.Slot
}

func (c *cache) forget(peer string) {
	s, ok := c.slots[peer]
	if !ok {
		return
	}
	delete(c.slots, peer)
	i, _ := c.index(s)
	c.nodes = slices.Delete(c.nodes, i, i+1)
}

// answer returns the node nearest at or before a position, and the nodes that follow it. It is
// empty if no node is known.
func (c *cache) answer(position Slot) answer {
	if len(c.nodes) == 0 {
		return nil
	}
	i, exact := c.index(position)
	if !exact {
		i += len(c.nodes) - 1
	}
	a := make(answer, min(Copies, len(c.nodes)))
	for j := range a {
		a[j] = c.nodes[(i+j)%len(c.nodes)]
	}
	return a
}
