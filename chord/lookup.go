package chord

// CORE: fingers, and the next hop.

// A node is a storing peer and its slot.
type node struct {
	slot slot
	peer string
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

// find returns the node nearest at or before a position, of the fingers and the peer
// itself: the next hop, or the owner if that is itself and the finger for the next slot is
// right. A position belongs to the node nearest at or before it, as in protocol 0.4.
func (f *fingers) find(position slot) node {
	best := f.self
	for _, n := range f.table {
		if f.distance(n.slot, position) < f.distance(best.slot, position) {
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
