package chord

// CORE: the five homes of a key, and what a node is a home of.

// An answer to a lookup is the owner of a position and the nodes that follow it
// clockwise, at most four.
type answer []node

// A home is a node that keeps a key, and why: it follows, so many nodes on, the owner of
// one of the key's positions.
type home struct {
	node
	role
}

// A role is for which position of a key, and as which of its owner (0) and those that
// follow it, a node is a home.
type role struct {
	index  int
	offset int
}

// homes are the nodes that keep a key, from the answers for its positions: the owners,
// and where two positions fall on one node, for the later one the next node clockwise that
// is no home yet. So with five nodes or more a key has five homes, with fewer all of them;
// and whoever looks them up finds the same.
func homes(answers [copies]answer) []home {
	chosen := make([]home, 0, copies)
	for i, a := range answers {
	next:
		for j, n := range a {
			for _, h := range chosen {
				if h.peer == n.peer {
					continue next
				}
			}
			chosen = append(chosen, home{n, role{i, j}})
			break
		}
	}
	return chosen
}

// majority is how many of some homes must agree.
func majority(homes int) int { return homes/2 + 1 }

// A reach is a part of the circle that a node is in: so many steps back from its slot and
// so many ahead, the last not included.
type reach struct{ back, ahead uint64 }

// everything is the reach of a node that keeps all keys.
func (k circle) everything() reach { return reach{1 << k, 1 << k} }

// covers tells whether a slot is in the reach of a node.
func (k circle) covers(self slot, r reach, s slot) bool {
	return k.distance(self, s) < r.ahead || k.distance(s, self) <= r.back && r.ahead > 0
}

// within tells whether a reach is a part of another.
func (r reach) within(o reach) bool { return r.back <= o.back && r.ahead <= o.ahead }

// common is what two reaches of a node have in common.
func (r reach) common(o reach) reach { return reach{min(r.back, o.back), min(r.ahead, o.ahead)} }

// An arc is a part of the circle, from a slot on.
type arc struct {
	from   slot
	length uint64
}

func (k circle) everywhere() arc { return arc{0, 1 << k} }

func (k circle) in(a arc, p slot) bool { return k.distance(a.from, p) < a.length }

// arc is the part of the circle that a reach is of a node in a slot.
func (k circle) arc(self slot, r reach) arc {
	if r.ahead == 0 {
		return arc{}
	}
	if r.back+r.ahead >= 1<<k {
		return k.everywhere()
	}
	return arc{k.at(self, 1<<k-r.back), r.back + r.ahead}
}

// missing are the arcs of a node's reach that another does not have.
func (k circle) missing(self slot, have, want reach) (parts []arc) {
	switch {
	case have.ahead == 0 || want.back+want.ahead >= 1<<k:
		return []arc{k.arc(self, want)}
	case want.within(have):
		return nil
	}
	if want.back > have.back {
		parts = append(parts, arc{k.at(self, 1<<k-want.back), want.back - have.back})
	}
	if want.ahead > have.ahead {
		parts = append(parts, arc{k.at(self, have.ahead), want.ahead - have.ahead})
	}
	return parts
}
