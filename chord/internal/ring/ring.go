package ring

import (
	"cmp"
	"slices"
	"time"
)

const (
	Listed         = Copies - 1       // successors that a node keeps, and predecessors
	maxProbes      = 4 * Listed       // nodes of which it was heard, to be asked whether they are there
	nearly         = 2 * time.Second  // rings of such different ages are of the same
	quarantine     = 10 * time.Second // a lost node is not taken back on hearsay
	maxQuarantined = 1024
)

// A view is what a node tells of itself and of its neighbours on the ring.
type View struct {
	Self   Node
	Stores bool          // it is in the ring; else it has no slot
	Ring   uint64        // by whose founding it has come to be: two that differ were founded apart
	Merges uint64        // with other rings
	Age    time.Duration // of the ring
	Preds  []Node        // nearest first
	Succs  []Node        // nearest first
}

// A ring is one node's part in the upkeep. Until it stores it has hints alone.
type Ring struct {
	k       Circle
	self    Node
	stores  bool
	id      uint64 // of the ring
	merges  uint64
	born    time.Time
	preds   []Node // at most listed, nearest first
	succs   []Node
	fingers *Fingers
	cache   *Cache

	quarantined map[string]time.Time // that were silent
	turn        int                  // of upkeep
	finger      int                  // that was looked up last
	grant       claimed
	effects     Effects // of the call that runs
}

// Effects are what follows from a call. The caller performs them.
type Effects struct {
	Greet   []Node    // were heard of; they are listed when they answer
	Look    []*Lookup // to be done; the caller takes the owner's view with Meet
	Moved   bool      // Meet: the lists of neighbours are not what they were
	Lost    bool      // Lose: a neighbour is gone
	Shaken  bool      // a predecessor is gone: this node may be a replica of any key of its
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

// view is what this node tells of itself.
func (r *Ring) View(now time.Time) View {
	if !r.stores {
		return View{Self: Node{Peer: r.self.Peer}, Succs: r.some()}
	}
	return View{r.self, true, r.id, r.merges, now.Sub(r.born), slices.Clone(r.preds), slices.Clone(r.succs)}
}

// some are a few nodes that are or were in the ring, from all around it: what one that is
// not in it knows.
func (r *Ring) some() []Node {
	all := r.cache.nodes
	few := make([]Node, 0, Listed)
	for i := range min(Listed, len(all)) {
		few = append(few, all[i*len(all)/Listed%len(all)])
	}
	return slices.Compact(few)
}

// found makes the node a ring of its own, with a number that no other has.
func (r *Ring) Found(now time.Time, s Slot, id uint64) Effects {
	return r.Enter(now, s, View{Ring: id})
}

// enter makes the node part of the ring: behind the one that has granted the slot, as
// whose view it is.
func (r *Ring) Enter(now time.Time, s Slot, by View) Effects {
	r.self.Slot, r.stores, r.id, r.merges, r.born = s, true, by.Ring, by.Merges, now.Add(-by.Age)
	r.preds, r.succs = nil, nil
	r.fingers = newFingers(r.k, r.self)
	if by.Stores {
		r.preds = r.extend([]Node{by.Self}, by.Self, by.Preds, r.behind)
		after := slices.DeleteFunc(slices.Clone(by.Succs), func(n Node) bool { return n == r.self })
		if len(by.Succs) < Listed && mirrored(by.Preds, by.Succs) { // by lists all, and follows the last
			after = append(after, by.Self)
		}
		if len(after) > 0 {
			r.succs = r.extend(after[:1:1], after[0], after[1:], r.ahead)
		}
		r.cache.learn(by.Self)
		for _, n := range r.Neighbours() {
			r.probe(n)
		}
	}
	r.cache.learn(r.self)
	for _, n := range r.cache.nodes {
		r.meetFinger(n)
	}
	return r.take()
}

func (r *Ring) meetFinger(n Node) {
	if r.stores && n.Peer != r.self.Peer {
		r.fingers.meet(n)
	}
}

// exit takes the node out of the ring. What it knows of others stays, as hints.
func (r *Ring) Exit() {
	r.cache.forget(r.self.Peer)
	r.stores, r.preds, r.succs = false, nil, nil
	r.fingers = newFingers(r.k, r.self)
}

// neighbours are the nodes that are listed, each once.
func (r *Ring) Neighbours() []Node {
	all := slices.Clone(r.succs)
	for _, n := range r.preds {
		if !slices.Contains(all, n) {
			all = append(all, n)
		}
	}
	return all
}

// upkept is how many nodes are kept track of.
func (r *Ring) Upkept() int {
	kept := map[Node]bool{}
	for _, n := range append(r.Neighbours(), r.fingers.table...) {
		if n != r.self {
			kept[n] = true
		}
	}
	return len(kept)
}

// owns tells whether a position is this node's own.
func (r *Ring) Owns(p Slot) bool {
	return r.stores && (len(r.succs) == 0 || r.k.Distance(r.self.Slot, p) < r.k.Distance(r.self.Slot, r.succs[0].Slot))
}

// plays tells whether this node has a role for a position.
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

// all tells whether everybody in the ring is listed.
func (r *Ring) ListsAll() bool { return mirrored(r.preds, r.succs) }

// mirrored tells whether those before a node are those behind it, so that there are no
// others.
func mirrored(preds, succs []Node) bool {
	preds = slices.Clone(preds)
	slices.Reverse(preds)
	return slices.Equal(preds, succs)
}

// window is the reach of the positions that the node may have a role for.
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

// neighbourhood is the window and what it may be soon, when others have left.
func (r *Ring) Neighbourhood() Reach {
	w := r.Window()
	if len(r.succs) > 0 {
		w.Ahead = max(w.Ahead, r.k.Distance(r.self.Slot, r.succs[len(r.succs)-1].Slot))
	}
	return w
}

// copies is how many homes a key has, as far as this node knows.
func (r *Ring) Copies() int { return min(Copies, len(r.Neighbours())+1) }

// next is the next hop to a position: the known node nearest at or before it.
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

// homes are the homes of a key, as far as this node knows.
func (r *Ring) Replicas(positions [Copies]Slot) []Replica {
	var answers [Copies]Answer
	for i, p := range positions {
		answers[i] = r.cache.answer(p)
	}
	return replicas(answers)
}

// homesWithout are the homes that a key would have without one peer.
func (r *Ring) ReplicasWithout(positions [Copies]Slot, peer string) []Replica {
	s, ok := r.cache.slots[peer]
	if !ok {
		return r.Replicas(positions)
	}
	r.cache.forget(peer)
	defer r.cache.learn(Node{s, peer})
	return r.Replicas(positions)
}

// list puts a node into a list of those nearest, and tells whether it is new there. It is
// not put behind the last: only that one knows who is next, and nobody may be passed over.
func list(to []Node, n Node, distance func(Node) uint64) ([]Node, bool) {
	if slices.Contains(to, n) {
		return to, false
	}
	i, taken := slices.BinarySearchFunc(to, distance(n), func(o Node, d uint64) int { return cmp.Compare(distance(o), d) })
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

// extend puts behind the last of a list those that follow it in the list of another
// node, which is in it.
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
		r.probe(n)
		r.meetFinger(n)
	}
	return to
}

func (r *Ring) ahead(n Node) uint64  { return r.k.Distance(r.self.Slot, n.Slot) }
func (r *Ring) behind(n Node) uint64 { return r.k.Distance(n.Slot, r.self.Slot) }

// insert lists a node that is there. It tells whether it was not listed before.
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

// meet takes the view of a node that is there: it has asked or answered.
func (r *Ring) Meet(now time.Time, v View) Effects {
	before := r.Neighbours()
	r.meet(now, v)
	r.effects.Moved = !slices.Equal(before, r.Neighbours())
	return r.take()
}

func (r *Ring) meet(now time.Time, v View) {
	x := v.Self
	if x.Peer == r.self.Peer {
		return
	}
	delete(r.quarantined, x.Peer)
	if !v.Stores {
		if r.grant.Peer == x.Peer && now.Sub(r.grant.at) < grantTime {
			return // the answer to its claim is on its way
		}
		r.drop(x.Peer)
		for _, n := range v.Succs {
			r.hear(now, n)
		}
		return
	}
	if r.stores && x.Slot == r.self.Slot {
		if x.Peer < r.self.Peer {
			r.Exit()
			r.effects.Evicted = true
			r.cache.learn(x)
		}
		return
	}
	if r.grant.Node == x {
		r.grant = claimed{}
	}
	r.cache.learn(x)
	if !r.stores {
		r.hearAll(now, v)
		return
	}
	if r.insert(x) || slices.Contains(r.succs, x) || slices.Contains(r.preds, x) {
		r.unite(now, v)
	}
	r.succs = r.extend(r.succs, x, v.Succs, r.ahead)
	r.preds = r.extend(r.preds, x, v.Preds, r.behind)
	// Who is listed here and not by a neighbour, which would have to know it, may be gone.
	if len(r.succs) > 0 && r.succs[0] == x {
		r.doubt(r.succs[1:], v.Succs, r.ahead)
	}
	if len(r.preds) > 0 && r.preds[0] == x {
		r.doubt(r.preds[1:], v.Preds, r.behind)
	}
	r.hearAll(now, v)
}

// unite makes the ring one with that of a neighbour, if they were founded apart. Of two
// rings the older one stays; that it has grown is told from node to node.
func (r *Ring) unite(now time.Time, v View) {
	older := v.Age - now.Sub(r.born)
	switch {
	case v.Ring == r.id && v.Merges <= r.merges:
		return
	case v.Ring == r.id:
		r.merges = v.Merges
	case older > nearly || older > -nearly && v.Ring < r.id:
		r.id, r.born, r.merges, r.effects.Yielded = v.Ring, now.Add(-v.Age), max(r.merges, v.Merges), true
	default:
		r.merges = max(r.merges, v.Merges) + 1
	}
	r.effects.Merged = true
}

func (r *Ring) hearAll(now time.Time, v View) {
	for _, n := range v.Preds {
		r.hear(now, n)
	}
	for _, n := range v.Succs {
		r.hear(now, n)
	}
}

// doubt has those nodes greeted that another list lacks though it goes further.
func (r *Ring) doubt(mine, theirs []Node, distance func(Node) uint64) {
	for _, n := range mine {
		if !slices.Contains(theirs, n) && (len(theirs) < Listed || distance(n) < distance(theirs[len(theirs)-1])) {
			r.probe(n)
		}
	}
}

// hear takes a node that another one tells of. It has to be greeted before it is listed.
func (r *Ring) Hear(now time.Time, n Node) Effects {
	r.hear(now, n)
	return r.take()
}

func (r *Ring) hear(now time.Time, n Node) {
	if n.Peer == r.self.Peer || uint64(n.Slot) >= 1<<r.k {
		return
	}
	if at, ok := r.quarantined[n.Peer]; ok {
		if now.Sub(at) < quarantine {
			return
		}
		delete(r.quarantined, n.Peer)
	}
	if s, ok := r.cache.slots[n.Peer]; ok && s != n.Slot {
		return // what is known at first hand, or first, is asked first
	}
	if i, taken := r.cache.index(n.Slot); !taken || r.cache.nodes[i].Peer == n.Peer {
		r.cache.learn(n)
	}
	if !r.stores {
		return
	}
	r.meetFinger(n)
	_, ahead := list(slices.Clone(r.succs), n, r.ahead)
	_, behind := list(slices.Clone(r.preds), n, r.behind)
	if ahead || behind || n.Slot == r.self.Slot {
		r.probe(n)
	}
}

func (r *Ring) probe(n Node) {
	if e := &r.effects; len(e.Greet) < maxProbes && !slices.Contains(e.Greet, n) {
		e.Greet = append(e.Greet, n)
	}
}

// drop takes a peer out of everything.
func (r *Ring) drop(peer string) {
	gone := func(o Node) bool { return o.Peer == peer }
	r.effects.Shaken = r.effects.Shaken || slices.ContainsFunc(r.preds, gone)
	r.succs = slices.DeleteFunc(r.succs, gone)
	r.preds = slices.DeleteFunc(r.preds, gone)
	r.cache.forget(peer)
	r.fingers.drop(peer)
	if !r.stores {
		return
	}
	for _, n := range r.Neighbours() {
		r.fingers.meet(n)
	}
	if len(r.succs) == 0 { // everybody listed is gone: somebody further away may not be
		for _, n := range r.cache.answer(r.self.Slot) {
			if n != r.self {
				r.succs = append(r.succs[:0], n)
				r.probe(n)
				break
			}
		}
	}
}

// lose notes that a peer is silent, or gone.
func (r *Ring) Lose(now time.Time, peer string) Effects {
	r.effects.Lost = slices.ContainsFunc(r.Neighbours(), func(n Node) bool { return n.Peer == peer })
	r.lose(now, peer)
	return r.take()
}

func (r *Ring) lose(now time.Time, peer string) {
	if len(r.quarantined) >= maxQuarantined {
		for p, at := range r.quarantined {
			if now.Sub(at) >= quarantine {
				delete(r.quarantined, p)
			}
		}
	}
	if len(r.quarantined) < maxQuarantined {
		r.quarantined[peer] = now
	}
	r.drop(peer)
}

// depart takes the farewell of a node: its neighbours close the gap.
func (r *Ring) Depart(now time.Time, v View) Effects {
	r.lose(now, v.Self.Peer)
	r.hearAll(now, v)
	return r.take()
}

// upkeep says whom to greet regularly, and what to look up: the goal of a finger, and now
// and then, by way of somebody far, who precedes this node. If that is not the one that is
// listed, there are two rings, which grow together from here.
func (r *Ring) Stabilize() (e Effects) {
	if !r.stores {
		return e
	}
	r.turn++
	if n := len(r.cache.nodes); r.turn%seekPace == 0 && n > 1 {
		if far := r.cache.nodes[r.turn/seekPace%n]; far != r.self {
			e.Look = append(e.Look, NewLookup(r.k, r.k.At(r.self.Slot, 1<<r.k-1), far))
		}
	}
	if len(r.succs) == 0 {
		return e
	}
	e.Greet = append(e.Greet, r.succs[0])
	if len(r.preds) > 0 && r.preds[0] != r.succs[0] {
		e.Greet = append(e.Greet, r.preds[0])
	}
	if last := r.ahead(r.succs[len(r.succs)-1]); !r.ListsAll() {
		for range r.fingers.table {
			r.finger = (r.finger + 1) % len(r.fingers.table)
			if goal := r.k.At(r.self.Slot, 1<<r.finger); uint64(1)<<r.finger > last {
				start, _ := r.Next(goal)
				e.Look = append(e.Look, NewLookup(r.k, goal, start))
				break
			}
		}
	}
	return e
}

// seekPace is how often a node looks for other rings: once in so many turns of upkeep.
const seekPace = 8

// A verdict is what comes of a claim.
type Verdict int

const (
	Granted Verdict = iota
	Taken           // somebody else has the slot
	NotMine         // the slot is another's to grant
	Busy            // another claim is not settled
)

func (v Verdict) String() string {
	return [...]string{"granted", "taken", "not mine to grant", "busy"}[v]
}

// claimed is the last claim that was granted.
type claimed struct {
	Node
	at time.Time
}

// grantTime is how long a slot is kept for who has claimed it and is not heard of.
const grantTime = 5 * time.Second

// claim asks for a slot, as a peer that is not in the ring. The slot's owner makes it its
// successor at once, so that of two claims the second is asked of the first's node.
func (r *Ring) Claim(now time.Time, s Slot, peer string) (Verdict, Effects) {
	n := Node{s, peer}
	switch {
	case !r.stores:
		return NotMine, Effects{}
	case s == r.self.Slot:
		return Taken, Effects{}
	case r.grant.Peer != "" && r.grant.Node != n && now.Sub(r.grant.at) < grantTime:
		return Busy, Effects{}
	case !r.Owns(s) && r.grant.Node != n:
		return NotMine, Effects{}
	}
	r.drop(peer)
	delete(r.quarantined, peer)
	r.insert(n)
	r.grant = claimed{n, now}
	return Granted, r.take()
}
