package ring

import (
	"cmp"
	"slices"
)

// nearest returns the node that is nearest at or before a position: its owner, if these nodes
// are all there are, else the next hop.
func (k Circle) nearest(best Node, position Slot, nodes []Node) Node {
	for _, n := range nodes {
		if k.Distance(n.Slot, position) < k.Distance(best.Slot, position) {
			best = n
		}
	}
	return best
}

// A Lookup finds the owner of a position by asking one node after the other.
type Lookup struct {
	k        Circle
	Position Slot
	At       Node   // is asked next
	back     []Node // are asked if that one does not answer, the last first
	silent   map[string]bool
	hops     int // nodes asked after the first
	limit    int
}

// maxHops is how many nodes a lookup asks beyond the k that it takes at rest. While fingers are
// wrong it may take more than k.
const maxHops = 32

// NewLookup returns a lookup that asks a node first.
func NewLookup(k Circle, position Slot, start Node) *Lookup {
	return &Lookup{k: k, Position: position, At: start, silent: map[string]bool{}, limit: int(k) + maxHops}
}

// Redirect goes on with the nodes that the node asked has named. It reports false if the lookup
// leads nowhere: none of them is nearer, and no other node is left to ask.
func (l *Lookup) Redirect(next ...Node) bool {
	from := l.k.Distance(l.At.Slot, l.Position)
	nearer := l.back
	for _, n := range next {
		if l.k.Distance(n.Slot, l.Position) < from && !l.silent[n.Peer] {
			nearer = append(nearer, n)
		}
	}
	slices.SortStableFunc(nearer, func(a, b Node) int {
		return cmp.Compare(l.k.Distance(b.Slot, l.Position), l.k.Distance(a.Slot, l.Position))
	})
	l.back = nearer
	return l.pop()
}

// Skip notes that the node asked does not answer, and goes on with the one before. It reports
// false if there is none.
func (l *Lookup) Skip() bool {
	l.silent[l.At.Peer] = true
	return l.pop()
}

func (l *Lookup) pop() bool {
	for l.hops < l.limit && len(l.back) > 0 {
		n := l.back[len(l.back)-1]
		l.back = l.back[:len(l.back)-1]
		if !l.silent[n.Peer] {
			l.At = n
			l.hops++
			return true
		}
	}
	return false
}
