package ring

// fingers are the nodes over which a node finds its way. For each x below k that is the node
// nearest at or after the slot 2^x steps from its own. (Protocol 0.4 has the one nearest at or
// before it, with which a lookup may take twice as many hops.)
type fingers struct {
	k     Circle
	self  Node
	table []Node // by x; self where it knows no other
}

func newFingers(k Circle, self Node) *fingers {
	f := &fingers{k: k, self: self, table: make([]Node, k)}
	for x := range f.table {
		f.table[x] = self
	}
	return f
}

// meet takes in a node where it is nearer than the finger. It reports whether the node is a
// finger now.
func (f *fingers) meet(n Node) (kept bool) {
	for x, was := range f.table {
		goal := f.k.At(f.self.Slot, 1<<x)
		if was == f.self || f.k.Distance(goal, n.Slot) < f.k.Distance(goal, was.Slot) {
			f.table[x] = n
		}
		kept = kept || f.table[x] == n
	}
	return kept
}

// drop takes a peer out. Others have to be met again to take its place.
func (f *fingers) drop(peer string) {
	for x, n := range f.table {
		if n.Peer == peer {
			f.table[x] = f.self
		}
	}
}
