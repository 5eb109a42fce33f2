package ring

import (
	"cmp"
	"slices"
)

// list puts a node into a list of the nearest, and reports whether it is new there. A node is not
// put behind the last one: only the last one knows who is next, and no node may be passed over.
func list(to []Node, n Node, distance func(Node) uint64) ([]Node, bool) {
	if slices.Contains(to, n) {
		return to, false
	}
	i, taken := slices.BinarySearchFunc(to, distance(n), func(o Node, d uint64) int {
		return cmp.Compare(distance(o), d)
	})
	if taken { // two in one slot: the lower peer ID keeps it
		if to[i].Peer < n.Peer {
			return to, false
		}
		to[i] = n
		return to, true
	}
	if i == len(to) && i > 0 {
		return to, false
	}
	to = slices.Insert(to, i, n)
	return to[:min(len(to), Listed)], true
}

// extend appends to a list the nodes that follow its last one in the list of another node, if
// that other node is listed.
func (r *Ring) extend(to []Node, other Node, its []Node, distance func(Node) uint64) []Node {
	if !slices.Contains(to, other) {
		return to
	}
	if last := to[len(to)-1]; last != other {
		i := slices.Index(its, last)
		if i < 0 {
			return to
		}
		its = its[i+1:]
	}
	for _, n := range its {
		if _, lost := r.quarantined[n.Peer]; lost || len(to) == Listed || distance(n) <= distance(to[len(to)-1]) {
			break
		}
		to = append(to, n)
		r.greet(n)
		r.meetFinger(n)
	}
	return to
}

func (r *Ring) ahead(n Node) uint64  { return r.k.Distance(r.self.Slot, n.Slot) }
func (r *Ring) behind(n Node) uint64 { return r.k.Distance(n.Slot, r.self.Slot) }

// insert lists a node that has answered. It reports whether the node was not listed before.
func (r *Ring) insert(n Node) bool {
	if n.Peer == r.self.Peer || n.Slot == r.self.Slot {
		return false
	}
	r.unlist(n.Peer, n.Slot) // if it was elsewhere
	var a, b bool
	r.succs, a = list(r.succs, n, r.ahead)
	r.preds, b = list(r.preds, n, r.behind)
	r.cache.learn(n)
	r.meetFinger(n)
	return a || b
}

// unlist takes a peer out of the lists, unless it is in that slot.
func (r *Ring) unlist(peer string, except Slot) {
	elsewhere := func(o Node) bool { return o.Peer == peer && o.Slot != except }
	r.effects.Shaken = r.effects.Shaken || slices.ContainsFunc(r.preds, elsewhere)
	r.succs = slices.DeleteFunc(r.succs, elsewhere)
	r.preds = slices.DeleteFunc(r.preds, elsewhere)
}

// mirrored reports whether the nodes before a node are those after it, so that there are no
// others.
func mirrored(preds, succs []Node) bool {
	preds = slices.Clone(preds)
	slices.Reverse(preds)
	return slices.Equal(preds, succs)
}

// meetFinger makes a node a finger where it is nearer.
func (r *Ring) meetFinger(n Node) {
	if r.stores && n.Peer != r.self.Peer {
		r.fingers.meet(n)
	}
}
