package ring

import (
	"slices"
	"time"
)

// Listed is how many successors a node lists, and how many predecessors.
const Listed = Copies - 1

const (
	maxGreet       = 4 * Listed       // nodes that one call has greeted
	sameAge        = 2 * time.Second  // two rings whose ages differ by less count as of one age
	quarantine     = 10 * time.Second // for which a lost node is not taken back on hearsay
	maxQuarantined = 1024
)

// A View is what a node tells of itself and of its neighbours on the ring.
type View struct {
	Self   Node
	Stores bool          // the node has a slot
	Ring   uint64        // number of the ring; rings with different numbers were founded apart
	Merges uint64        // of the ring with others
	Age    time.Duration // of the ring
	Preds  []Node        // nearest first
	Succs  []Node        // nearest first
}

// A Ring is one node's part of the ring: its slot, the neighbours that it lists, its fingers and
// its location cache. A node that does not store has the cache alone.
//
// Invariant: preds and succs are in the order of their distance, at most Listed each; each node
// in them was heard of from itself or from a node in the same list.
type Ring struct {
	k       Circle
	self    Node
	stores  bool
	id      uint64 // of the ring
	merges  uint64
	born    time.Time
	preds   []Node // nearest first
	succs   []Node
	fingers *fingers
	cache   *cache

	quarantined map[string]time.Time // that were silent
	round       int                  // of upkeep
	finger      int                  // that was looked up last
	grant       claimed
	effects     Effects // of the call that runs
}

// Effects are what follows from a call. The caller performs them.
type Effects struct {
	Greet   []Node    // nodes that are listed if they answer a greeting
	Look    []*Lookup // lookups to do; Meet takes the view of the owner that is found
	Moved   bool      // Meet: the lists of neighbours have changed
	Lost    bool      // Lose: a neighbour is gone
	Shaken  bool      // a predecessor is gone: this node may have become a replica of any of its keys
	Merged  bool      // the ring has become one with another
	Yielded bool      // the other ring was older: what its nodes store counts
	Evicted bool      // another node keeps the slot; this one has left the ring
}

// take returns the effects of a call, at its end.
func (r *Ring) take() Effects {
	e := r.effects
	r.effects = Effects{}
	return e
}

// New returns the ring of a node that does not store and knows nobody.
func New(k Circle, peer string) *Ring {
	r := &Ring{k: k, self: Node{Peer: peer}, cache: newCache(k), quarantined: map[string]time.Time{}}
	r.fingers = newFingers(k, r.self)
	return r
}

// Self returns the node; its slot means nothing while it does not store.
func (r *Ring) Self() Node { return r.self }

// Stores reports whether the node has a slot.
func (r *Ring) Stores() bool { return r.stores }

// Succs returns the nodes that follow this one, nearest first. The slice is the ring's.
func (r *Ring) Succs() []Node { return r.succs }

// Preds returns the nodes that precede this one, nearest first. The slice is the ring's.
func (r *Ring) Preds() []Node { return r.preds }

// Fingers returns for each x below k the node nearest at or after the slot 2^x steps from
// this node's, itself where it knows no other. The slice is the ring's.
func (r *Ring) Fingers() []Node { return r.fingers.table }

// Known returns the nodes of the location cache, by slot. The slice is the ring's.
func (r *Ring) Known() []Node { return r.cache.nodes }

// Knows reports whether a peer is in the location cache.
func (r *Ring) Knows(peer string) bool {
	_, ok := r.cache.slots[peer]
	return ok
}

// Covers reports whether a slot is in a reach of this node.
func (r *Ring) Covers(reach Reach, p Slot) bool { return r.k.Covers(r.self.Slot, reach, p) }

// Near reports whether one of a key's positions is in a reach of this node.
func (r *Ring) Near(positions [Copies]Slot, reach Reach) bool {
	return slices.ContainsFunc(positions[:], func(p Slot) bool { return r.Covers(reach, p) })
}

// Forget takes a peer out of the location cache.
func (r *Ring) Forget(peer string) { r.cache.forget(peer) }

// View returns what this node tells of itself.
func (r *Ring) View(now time.Time) View {
	if !r.stores {
		return View{Self: Node{Peer: r.self.Peer}, Succs: r.some()}
	}
	return View{r.self, true, r.id, r.merges, now.Sub(r.born), slices.Clone(r.preds), slices.Clone(r.succs)}
}

// some returns a few nodes of the location cache, from all around the ring.
func (r *Ring) some() []Node {
	all := r.cache.nodes
	few := make([]Node, 0, Listed)
	for i := range min(Listed, len(all)) {
		few = append(few, all[i*len(all)/Listed%len(all)])
	}
	return slices.Compact(few)
}

// Neighbours returns the nodes that are listed, each once.
func (r *Ring) Neighbours() []Node {
	all := slices.Clone(r.succs)
	for _, n := range r.preds {
		if !slices.Contains(all, n) {
			all = append(all, n)
		}
	}
	return all
}

// Tracked returns how many nodes are listed or fingers.
func (r *Ring) Tracked() int {
	kept := map[Node]bool{}
	for _, n := range append(r.Neighbours(), r.fingers.table...) {
		if n != r.self {
			kept[n] = true
		}
	}
	return len(kept)
}

// Owns reports whether this node owns a position.
func (r *Ring) Owns(p Slot) bool {
	return r.stores && (len(r.succs) == 0 || r.k.Distance(r.self.Slot, p) < r.k.Distance(r.self.Slot, r.succs[0].Slot))
}

// Plays reports whether this node is the owner of a position, or with an offset the node so many
// behind it.
func (r *Ring) Plays(p Slot, offset int) bool {
	if offset == 0 {
		return r.Owns(p)
	}
	if !r.stores || offset > len(r.preds) {
		return false
	}
	owner, next := r.preds[offset-1], r.self
	if offset > 1 {
		next = r.preds[offset-2]
	}
	return r.k.Distance(owner.Slot, p) < r.k.Distance(owner.Slot, next.Slot)
}

// ListsAll reports whether all nodes of the ring are listed.
func (r *Ring) ListsAll() bool { return mirrored(r.preds, r.succs) }

// Window returns the reach of the positions that the node may have a role for.
func (r *Ring) Window() Reach {
	switch {
	case !r.stores:
		return Reach{}
	case r.ListsAll():
		return r.k.Everything()
	case len(r.succs) == 0 || len(r.preds) == 0:
		return Reach{0, 1}
	}
	return Reach{r.k.Distance(r.preds[len(r.preds)-1].Slot, r.self.Slot), r.k.Distance(r.self.Slot, r.succs[0].Slot)}
}

// Neighbourhood returns the window, and what it may become when other nodes leave.
func (r *Ring) Neighbourhood() Reach {
	w := r.Window()
	if len(r.succs) > 0 {
		w.Ahead = max(w.Ahead, r.k.Distance(r.self.Slot, r.succs[len(r.succs)-1].Slot))
	}
	return w
}

// Copies returns how many replicas a key has, as far as this node knows.
func (r *Ring) Copies() int { return min(Copies, len(r.Neighbours())+1) }

// Next returns the next hop to a position: the known node nearest at or before it.
func (r *Ring) Next(p Slot) (n Node, ok bool) {
	if a := r.cache.answer(p); len(a) > 0 {
		n, ok = a[0], true
	}
	if r.stores {
		if !ok {
			n = r.self
		}
		n, ok = r.k.nearest(r.k.nearest(n, p, r.succs), p, r.fingers.table), true
	}
	return n, ok
}

// Replicas returns the replicas of a key, as far as this node knows.
func (r *Ring) Replicas(positions [Copies]Slot) []Replica {
	var answers [Copies]answer
	for i, p := range positions {
		answers[i] = r.cache.answer(p)
	}
	return replicas(answers)
}

// ReplicasWithout returns the replicas that a key would have without one peer.
func (r *Ring) ReplicasWithout(positions [Copies]Slot, peer string) []Replica {
	s, ok := r.cache.slots[peer]
	if !ok {
		return r.Replicas(positions)
	}
	r.cache.forget(peer)
	defer r.cache.learn(Node{s, peer})
	return r.Replicas(positions)
}
