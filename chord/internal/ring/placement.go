package ring

// An answer to a lookup is the owner of a position, and up to four nodes that follow it
// clockwise.
type answer []Node

// A Replica is a node that stores a key, and its role for the key.
type Replica struct {
	Node
	Role
}

// A Role is for which position of a key a node is a replica, and how many nodes it follows the
// owner of that position.
type Role struct {
	Index  int // of the position
	Offset int // 0 for the owner
}

// replicas returns the nodes that store a key, given the answers for its positions. They are the
// owners; where two positions fall on one node, the later one takes the next node clockwise that
// is no replica yet. So a key has five replicas, or all nodes if those are fewer, and every node
// that looks them up finds the same.
func replicas(answers [Copies]answer) []Replica {
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

// A Reach is a part of the circle around a node: so many steps back from its slot, and so many
// ahead, the last not included.
type Reach struct{ Back, Ahead uint64 }

// Everything returns the reach of a node that stores all keys.
func (k Circle) Everything() Reach { return Reach{1 << k, 1 << k} }

// Covers reports whether a slot is in a reach of a node.
func (k Circle) Covers(self Slot, r Reach, s Slot) bool {
	return k.Distance(self, s) < r.Ahead || k.Distance(s, self) <= r.Back && r.Ahead > 0
}

// Within reports whether a reach is a part of another.
func (r Reach) Within(o Reach) bool { return r.Back <= o.Back && r.Ahead <= o.Ahead }

// Common returns what two reaches of a node have in common.
func (r Reach) Common(o Reach) Reach {
	return Reach{min(r.Back, o.Back), min(r.Ahead, o.Ahead)}
}

// An Arc is a part of the circle, from a slot on.
type Arc struct {
	From   Slot
	Length uint64
}

// Everywhere returns the whole circle.
func (k Circle) Everywhere() Arc { return Arc{0, 1 << k} }

// In reports whether a slot is in an arc.
func (k Circle) In(a Arc, p Slot) bool { return k.Distance(a.From, p) < a.Length }

// arcOf returns a reach of a node as an arc.
func (k Circle) arcOf(self Slot, r Reach) Arc {
	if r.Ahead == 0 {
		return Arc{}
	}
	if r.Back+r.Ahead >= 1<<k {
		return k.Everywhere()
	}
	return Arc{k.At(self, 1<<k-r.Back), r.Back + r.Ahead}
}

// Missing returns the arcs that one reach of a node has and another has not.
func (k Circle) Missing(self Slot, have, want Reach) (parts []Arc) {
	switch {
	case have.Ahead == 0 || want.Back+want.Ahead >= 1<<k:
		return []Arc{k.arcOf(self, want)}
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
