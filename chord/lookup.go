package chord

// CORE: the next hop: fingers, and hints of who was where.

import (
	"cmp"
	"slices"
)

// A node is a storing peer and its slot.
type node struct {
	slot slot
	peer string // peer ID, as bytes
}

// fingers are what a peer keeps of the circle to find its way: for each x below k the
// node that it knows nearest at or after the slot 2^x steps from its own. (Those of
// protocol 0.4 are the nearest at or before it, with which a lookup may take twice as many
// hops.)
type fingers struct {
	circle
	self  node
	table []node // by x; self where it knows no other
}

func newFingers(k circle, self node) *fingers {
	f := &fingers{circle: k, self: self, table: make([]node, k)}
	for x := range f.table {
		f.table[x] = self
	}
	return f
}

// nearest returns the one of some nodes that is nearest at or before a position: its owner,
// as in protocol 0.4, if they are all there are, and else the next hop.
func (k circle) nearest(best node, position slot, nodes []node) node {
	for _, n := range nodes {
		if k.distance(n.slot, position) < k.distance(best.slot, position) {
			best = n
		}
	}
	return best
}

// meet takes a node into the fingers that it is nearer for, and tells whether it is in
// any.
func (f *fingers) meet(n node) (kept bool) {
	for x, was := range f.table {
		goal := f.at(f.self.slot, 1<<x)
		if was == f.self || f.distance(goal, n.slot) < f.distance(goal, was.slot) {
			f.table[x] = n
		}
		kept = kept || f.table[x] == n
	}
	return kept
}

// drop takes a peer out; others have to be met again to take its place.
func (f *fingers) drop(peer string) {
	for x, n := range f.table {
		if n.peer == peer {
			f.table[x] = f.self
		}
	}
}

// maxHints is how many nodes are remembered beside those that upkeep needs.
const maxHints = 4096

// hints are nodes that are or were in a slot. Nobody keeps them up to date: who is asked
// says what is not so any more.
type hints struct {
	circle
	nodes []node // by slot; one for each slot, and for each peer
	slots map[string]slot
}

func newHints(k circle) *hints { return &hints{circle: k, slots: map[string]slot{}} }

func (h *hints) index(s slot) (int, bool) {
	return slices.BinarySearchFunc(h.nodes, s, func(n node, s slot) int { return cmp.Compare(n.slot, s) })
}

// learn notes where a peer is. Who was thought to be there, is not; and with no room left
// another node is forgotten.
func (h *hints) learn(n node) {
	if was, ok := h.slots[n.peer]; ok && was == n.slot {
		return
	}
	h.forget(n.peer)
	i, taken := h.index(n.slot)
	if taken {
		delete(h.slots, h.nodes[i].peer)
		h.nodes[i] = n
	} else {
		if len(h.nodes) == maxHints {
			h.forget(h.nodes[(i+maxHints/2)%maxHints].peer) // far away
			i, _ = h.index(n.slot)
		}
		h.nodes = slices.Insert(h.nodes, i, n)
	}
	h.slots[n.peer] = n.slot
}

func (h *hints) forget(peer string) {
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
func (h *hints) answer(position slot) answer {
	if len(h.nodes) == 0 {
		return nil
	}
	i, exact := h.index(position)
	if !exact {
		i += len(h.nodes) - 1
	}
	a := make(answer, min(copies, len(h.nodes)))
	for j := range a {
		a[j] = h.nodes[(i+j)%len(h.nodes)]
	}
	return a
}

// A lookup finds the owner of a position, asking one node after the other.
type lookup struct {
	circle
	position slot
	at       node   // to be asked next
	back     []node // to be asked if that is silent, the last first
	silent   map[string]bool
	hops     int // nodes that were asked, beside the first
	limit    int
}

// maxHops is how many nodes a lookup asks beyond the k that it takes at rest: while
// fingers are wrong it may take more.
const maxHops = 32

func newLookup(k circle, position slot, start node) *lookup {
	return &lookup{circle: k, position: position, at: start, silent: map[string]bool{}, limit: int(k) + maxHops}
}

// redirect takes the next hop that the node asked names. It is false if the lookup leads
// nowhere: the hop is no nearer and nobody else is left to ask.
func (l *lookup) redirect(next ...node) bool {
	from := l.distance(l.at.slot, l.position)
	nearer := l.back
	for _, n := range next {
		if l.distance(n.slot, l.position) < from && !l.silent[n.peer] {
			nearer = append(nearer, n)
		}
	}
	slices.SortStableFunc(nearer, func(a, b node) int {
		return cmp.Compare(l.distance(b.slot, l.position), l.distance(a.slot, l.position))
	})
	l.back = nearer
	return l.pop()
}

// skip notes that the node asked is silent, and goes on with the one before.
func (l *lookup) skip() bool {
	l.silent[l.at.peer] = true
	return l.pop()
}

func (l *lookup) pop() bool {
	for l.hops < l.limit && len(l.back) > 0 {
		n := l.back[len(l.back)-1]
		l.back = l.back[:len(l.back)-1]
		if !l.silent[n.peer] {
			l.at = n
			l.hops++
			return true
		}
	}
	return false
}
