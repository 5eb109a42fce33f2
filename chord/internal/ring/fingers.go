package ring

// fingers are what a peer keeps of the circle to find its way: for each x below k the
// node that it knows nearest at or after the slot 2^x steps from its own. (Those of
// protocol 0.4 are the nearest at or before it, with which a lookup may take twice as many
// hops.)
type Fingers struct {
	k     Circle
	self  Node
	table []Node // by x; self where it knows no other
}

func newFingers(k Circle, self Node) *Fingers {
	f := &Fingers{k: k, self: self, table: make([]Node, k)}
	for x := range f.table {
		f.table[x] = self
	}
	return f
}

// meet takes a node into the fingers that it is nearer for, and tells whether it is in
// any.
func (f *Fingers) meet(n Node) (kept bool) {
	for x, was := range f.table {
		goal := f.k.At(f.self.Slot, 1<<x)
		if was == f.self || f.k.Distance(goal, n.Slot) < f.k.Distance(goal, was.Slot) {
			f.table[x] = n
		}
		kept = kept || f.table[x] == n
	}
	return kept
}

// drop takes a peer out; others have to be met again to take its place.
func (f *Fingers) drop(peer string) {
	for x, n := range f.table {
		if n.Peer == peer {
			f.table[x] = f.self
		}
	}
}
