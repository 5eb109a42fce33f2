package ring

// An answer to a lookup is the owner of a position and the nodes that follow it
// clockwise, at most four.
type Answer []Node

// A home is a node that keeps a key, and why: it follows, so many nodes on, the owner of
// one of the key's positions.
type Replica struct {
	Node
	Role
}

// A role is for which position of a key, and as which of its owner (0) and those that
// follow it, a node is a home.
type Role struct {
	Index  int
	Offset int
}

// homes are the nodes that keep a key, from the answers for its positions: the owners,
// and where two positions fall on one node, for the later one the next node clockwise that
// is no home yet. So with five nodes or more a key has five homes, with fewer all of them;
// and whoever looks them up finds the same.
func replicas(answers [Copies]Answer) []Replica {
	chosen := make([]Replica, 0, Copies)
	for i, a := range answers {
	next:
		for j, n := range a {
			for _, h := range chosen {
				if h.Peer == n.Peer {
					continue next
				}
			}
			chosen = append(chosen, Replica{n, Role{i, j}})
			break
		}
	}
	return chosen
}

// A reach is a part of the circle that a node is in: so many steps back from its slot and
// so many ahead, the last not included.
type Reach struct{ Back, Ahead uint64 }

// everything is the reach of a node that keeps all keys.
func (k Circle) Everything() Reach { return Reach{1 << k, 1 << k} }

// covers tells whether a slot is in the reach of a node.
func (k Circle) Covers(self Slot, r Reach, s Slot) bool {
	return k.Distance(self, s) < r.Ahead || k.Distance(s, self) <= r.Back && r.Ahead > 0
}

// within tells whether a reach is a part of another.
func (r Reach) Within(o Reach) bool { return r.Back <= o.Back && r.Ahead <= o.Ahead }

// common is what two reaches of a node have in common.
func (r Reach) Common(o Reach) Reach {
	return Reach{min(r.Back, o.Back), min(r.Ahead, o.Ahead)}
}

// An arc is a part of the circle, from a slot on.
type Arc struct {
	From   Slot
	Length uint64
}

func (k Circle) Everywhere() Arc { return Arc{0, 1 << k} }

func (k Circle) In(a Arc, p Slot) bool { return k.Distance(a.From, p) < a.Length }

// arc is the part of the circle that a reach is of a node in a slot.
func (k Circle) ArcOf(self Slot, r Reach) Arc {
	if r.Ahead == 0 {
		return Arc{}
	}
	if r.Back+r.Ahead >= 1<<k {
		return k.Everywhere()
	}
	return Arc{k.At(self, 1<<k-r.Back), r.Back + r.Ahead}
}

// missing are the arcs of a node's reach that another does not have.
func (k Circle) Missing(self Slot, have, want Reach) (parts []Arc) {
	switch {
	case have.Ahead == 0 || want.Back+want.Ahead >= 1<<k:
		return []Arc{k.ArcOf(self, want)}
	case want.Within(have):
		return nil
	}
	if want.Back > have.Back {
		parts = append(parts, Arc{k.At(self, 1<<k-want.Back), want.Back - have.Back})
	}
	if want.Ahead > have.Ahead {
		parts = append(parts, Arc{k.At(self, have.Ahead), want.Ahead - have.Ahead})
	}
	return parts
}
