package ring

import (
	"cmp"
	"slices"
)

// nearest returns the one of some nodes that is nearest at or before a position: its owner,
// as in protocol 0.4, if they are all there are, and else the next hop.
func (k Circle) nearest(best Node, position Slot, nodes []Node) Node {
	for _, n := range nodes {
		if k.Distance(n.Slot, position) < k.Distance(best.Slot, position) {
			best = n
		}
	}
	return best
}

// A lookup finds the owner of a position, asking one node after the other.
type Lookup struct {
	k        Circle
	Position Slot
	At       Node   // to be asked next
	back     []Node // to be asked if that is silent, the last first
	silent   map[string]bool
	hops     int // nodes that were asked, beside the first
	limit    int
}

// maxHops is how many nodes a lookup asks beyond the k that it takes at rest: while
// fingers are wrong it may take more.
const maxHops = 32

func NewLookup(k Circle, position Slot, start Node) *Lookup {
	return &Lookup{k: k, Position: position, At: start, silent: map[string]bool{}, limit: int(k) + maxHops}
}

// redirect takes the next hop that the node asked names. It is false if the lookup leads
// nowhere: the hop is no nearer and nobody else is left to ask.
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

// skip notes that the node asked is silent, and goes on with the one before.
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
