package chord

// CORE: who follows whom on the circle: joining, upkeep, failures, leaving, and the
// merging of rings. It is Chord as P. Zave corrected it ("Reasoning about identifier
// spaces: How to make Chord correct", 2017), with lists of predecessors beside those of
// successors, and with slots that their owners grant.

import (
	"cmp"
	"slices"
	"time"
)

const (
	listed    = copies - 1       // successors that a node keeps, and predecessors
	maxProbes = 4 * listed       // nodes of which it was heard, to be asked whether they are there
	nearly    = 2 * time.Second  // rings of such different ages are of the same
	mourning  = 10 * time.Second // a lost node is not taken back on hearsay
	maxLost   = 1024
)

// A view is what a node tells of itself and of its neighbours on the ring.
type view struct {
	self   node
	stores bool          // it is in the ring; else it has no slot
	ring   uint64        // by whose founding it has come to be: two that differ were founded apart
	merges uint64        // with other rings
	age    time.Duration // of the ring
	preds  []node        // nearest first
	succs  []node        // nearest first
}

// A ring is one node's part in the upkeep. Until it stores it has hints alone.
type ring struct {
	circle
	self   node
	stores bool
	id     uint64 // of the ring
	merges uint64
	born   time.Time
	preds  []node // at most listed, nearest first
	succs  []node
	*fingers
	hints *hints

	probes []node               // of which it was heard, to be greeted
	lost   map[string]time.Time // that were silent
	turn   int                  // of upkeep
	finger int                  // that was looked up last
	grant  claimed

	merged  bool // its ring has become one with another
	yielded bool // that was older than its own: what they have counts, what is here may not be all
	evicted bool // another node has the slot, and keeps it
	shaken  bool // a predecessor was lost: this node may have become the home of any key of theirs
}

func newRing(k circle, peer string) *ring {
	r := &ring{circle: k, self: node{peer: peer}, hints: newHints(k), lost: map[string]time.Time{}}
	r.fingers = newFingers(k, r.self)
	return r
}

// view is what this node tells of itself.
func (r *ring) view(now time.Time) view {
	if !r.stores {
		return view{self: node{peer: r.self.peer}, succs: r.some()}
	}
	return view{r.self, true, r.id, r.merges, now.Sub(r.born), slices.Clone(r.preds), slices.Clone(r.succs)}
}

// some are a few nodes that are or were in the ring, from all around it: what one that is
// not in it knows.
func (r *ring) some() []node {
	all := r.hints.nodes
	few := make([]node, 0, listed)
	for i := range min(listed, len(all)) {
		few = append(few, all[i*len(all)/listed%len(all)])
	}
	return slices.Compact(few)
}

// found makes the node a ring of its own, with a number that no other has.
func (r *ring) found(now time.Time, s slot, id uint64) { r.enter(now, s, &view{ring: id}) }

// enter makes the node part of the ring: behind the one that has granted the slot, as
// whose view it is.
func (r *ring) enter(now time.Time, s slot, by *view) {
	r.self.slot, r.stores, r.id, r.merges, r.born = s, true, by.ring, by.merges, now.Add(-by.age)
	r.evicted, r.merged, r.yielded, r.shaken = false, false, false, false
	r.preds, r.succs = nil, nil
	r.fingers = newFingers(r.circle, r.self)
	if by.stores {
		r.preds = r.extend([]node{by.self}, by.self, by.preds, r.behind)
		after := slices.DeleteFunc(slices.Clone(by.succs), func(n node) bool { return n == r.self })
		if len(by.succs) < listed && mirrored(by.preds, by.succs) { // by lists all, and follows the last
			after = append(after, by.self)
		}
		if len(after) > 0 {
			r.succs = r.extend(after[:1:1], after[0], after[1:], r.ahead)
		}
		r.hints.learn(by.self)
		r.probes = append(r.probes, r.neighbours()...)
	}
	r.hints.learn(r.self)
	for _, n := range r.hints.nodes {
		r.meetFinger(n)
	}
}

func (r *ring) meetFinger(n node) {
	if r.stores && n.peer != r.self.peer {
		r.fingers.meet(n)
	}
}

// exit takes the node out of the ring. What it knows of others stays, as hints.
func (r *ring) exit() {
	r.hints.forget(r.self.peer)
	r.stores, r.preds, r.succs, r.shaken = false, nil, nil, false
	r.fingers = newFingers(r.circle, r.self)
}

// neighbours are the nodes that are listed, each once.
func (r *ring) neighbours() []node {
	all := slices.Clone(r.succs)
	for _, n := range r.preds {
		if !slices.Contains(all, n) {
			all = append(all, n)
		}
	}
	return all
}

// upkept is how many nodes are kept track of.
func (r *ring) upkept() int {
	kept := map[node]bool{}
	for _, n := range append(r.neighbours(), r.table...) {
		if n != r.self {
			kept[n] = true
		}
	}
	return len(kept)
}

// owns tells whether a position is this node's own.
func (r *ring) owns(p slot) bool {
	return r.stores && (len(r.succs) == 0 || r.distance(r.self.slot, p) < r.distance(r.self.slot, r.succs[0].slot))
}

// plays tells whether this node has a role for a position.
func (r *ring) plays(p slot, offset int) bool {
	if offset == 0 {
		return r.owns(p)
	}
	if !r.stores || offset > len(r.preds) {
		return false
	}
	owner, next := r.preds[offset-1], r.self
	if offset > 1 {
		next = r.preds[offset-2]
	}
	return r.distance(owner.slot, p) < r.distance(owner.slot, next.slot)
}

// all tells whether everybody in the ring is listed.
func (r *ring) all() bool { return mirrored(r.preds, r.succs) }

// mirrored tells whether those before a node are those behind it, so that there are no
// others.
func mirrored(preds, succs []node) bool {
	preds = slices.Clone(preds)
	slices.Reverse(preds)
	return slices.Equal(preds, succs)
}

// window is the reach of the positions that the node may have a role for.
func (r *ring) window() reach {
	switch {
	case !r.stores:
		return reach{}
	case r.all():
		return r.everything()
	case len(r.succs) == 0 || len(r.preds) == 0:
		return reach{0, 1}
	}
	return reach{r.distance(r.preds[len(r.preds)-1].slot, r.self.slot), r.distance(r.self.slot, r.succs[0].slot)}
}

// neighbourhood is the window and what it may be soon, when others have left.
func (r *ring) neighbourhood() reach {
	w := r.window()
	if len(r.succs) > 0 {
		w.ahead = max(w.ahead, r.distance(r.self.slot, r.succs[len(r.succs)-1].slot))
	}
	return w
}

// copies is how many homes a key has, as far as this node knows.
func (r *ring) copies() int { return min(copies, len(r.neighbours())+1) }

// next is the next hop to a position: the known node nearest at or before it.
func (r *ring) next(p slot) (n node, ok bool) {
	if a := r.hints.answer(p); len(a) > 0 {
		n, ok = a[0], true
	}
	if r.stores {
		if !ok {
			n = r.self
		}
		n, ok = r.nearest(r.nearest(n, p, r.succs), p, r.table), true
	}
	return n, ok
}

// homes are the homes of a key, as far as this node knows.
func (r *ring) homes(positions [copies]slot) []home {
	var answers [copies]answer
	for i, p := range positions {
		answers[i] = r.hints.answer(p)
	}
	return homes(answers)
}

// homesWithout are the homes that a key would have without one peer.
func (r *ring) homesWithout(positions [copies]slot, peer string) []home {
	s, ok := r.hints.slots[peer]
	if !ok {
		return r.homes(positions)
	}
	r.hints.forget(peer)
	defer r.hints.learn(node{s, peer})
	return r.homes(positions)
}

// list puts a node into a list of those nearest, and tells whether it is new there. It is
// not put behind the last: only that one knows who is next, and nobody may be passed over.
func list(to []node, n node, distance func(node) uint64) ([]node, bool) {
	if slices.Contains(to, n) {
		return to, false
	}
	i, taken := slices.BinarySearchFunc(to, distance(n), func(o node, d uint64) int { return cmp.Compare(distance(o), d) })
	if taken { // two in one slot: the lower peer ID keeps it
		if to[i].peer < n.peer {
			return to, false
		}
		to[i] = n
		return to, true
	}
	if i == len(to) && i > 0 {
		return to, false
	}
	to = slices.Insert(to, i, n)
	return to[:min(len(to), listed)], true
}

// extend puts behind the last of a list those that follow it in the list of another
// node, which is in it.
func (r *ring) extend(to []node, other node, its []node, distance func(node) uint64) []node {
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
		if _, lost := r.lost[n.peer]; lost || len(to) == listed || distance(n) <= distance(to[len(to)-1]) {
			break
		}
		to = append(to, n)
		r.probe(n)
		r.meetFinger(n)
	}
	return to
}

func (r *ring) ahead(n node) uint64  { return r.distance(r.self.slot, n.slot) }
func (r *ring) behind(n node) uint64 { return r.distance(n.slot, r.self.slot) }

// insert lists a node that is there. It tells whether it was not listed before.
func (r *ring) insert(n node) bool {
	if n.peer == r.self.peer || n.slot == r.self.slot {
		return false
	}
	r.unlist(n.peer, n.slot) // if it was elsewhere
	var a, b bool
	r.succs, a = list(r.succs, n, r.ahead)
	r.preds, b = list(r.preds, n, r.behind)
	r.hints.learn(n)
	r.meetFinger(n)
	return a || b
}

// unlist takes a peer out of the lists, unless it is in that slot.
func (r *ring) unlist(peer string, except slot) {
	elsewhere := func(o node) bool { return o.peer == peer && o.slot != except }
	r.shaken = r.shaken || slices.ContainsFunc(r.preds, elsewhere)
	r.succs = slices.DeleteFunc(r.succs, elsewhere)
	r.preds = slices.DeleteFunc(r.preds, elsewhere)
}

// meet takes the view of a node that is there: it has asked or answered.
func (r *ring) meet(now time.Time, v view) {
	x := v.self
	if x.peer == r.self.peer {
		return
	}
	delete(r.lost, x.peer)
	r.probes = slices.DeleteFunc(r.probes, func(n node) bool { return n.peer == x.peer })
	if !v.stores {
		if r.grant.peer == x.peer && now.Sub(r.grant.at) < grantTime {
			return // the answer to its claim is on its way
		}
		r.drop(x.peer)
		for _, n := range v.succs {
			r.hear(now, n)
		}
		return
	}
	if r.stores && x.slot == r.self.slot {
		if x.peer < r.self.peer {
			r.exit()
			r.evicted = true
			r.hints.learn(x)
		}
		return
	}
	if r.grant.node == x {
		r.grant = claimed{}
	}
	r.hints.learn(x)
	if !r.stores {
		r.hearAll(now, v)
		return
	}
	if r.insert(x) || slices.Contains(r.succs, x) || slices.Contains(r.preds, x) {
		r.unite(now, v)
	}
	r.succs = r.extend(r.succs, x, v.succs, r.ahead)
	r.preds = r.extend(r.preds, x, v.preds, r.behind)
	// Who is listed here and not by a neighbour, which would have to know it, may be gone.
	if len(r.succs) > 0 && r.succs[0] == x {
		r.doubt(r.succs[1:], v.succs, r.ahead)
	}
	if len(r.preds) > 0 && r.preds[0] == x {
		r.doubt(r.preds[1:], v.preds, r.behind)
	}
	r.hearAll(now, v)
}

// unite makes the ring one with that of a neighbour, if they were founded apart. Of two
// rings the older one stays; that it has grown is told from node to node.
func (r *ring) unite(now time.Time, v view) {
	older := v.age - now.Sub(r.born)
	switch {
	case v.ring == r.id && v.merges <= r.merges:
		return
	case v.ring == r.id:
		r.merges = v.merges
	case older > nearly || older > -nearly && v.ring < r.id:
		r.id, r.born, r.merges, r.yielded = v.ring, now.Add(-v.age), max(r.merges, v.merges), true
	default:
		r.merges = max(r.merges, v.merges) + 1
	}
	r.merged = true
}

func (r *ring) hearAll(now time.Time, v view) {
	for _, n := range v.preds {
		r.hear(now, n)
	}
	for _, n := range v.succs {
		r.hear(now, n)
	}
}

// doubt has those nodes greeted that another list lacks though it goes further.
func (r *ring) doubt(mine, theirs []node, distance func(node) uint64) {
	for _, n := range mine {
		if !slices.Contains(theirs, n) && (len(theirs) < listed || distance(n) < distance(theirs[len(theirs)-1])) {
			r.probe(n)
		}
	}
}

// hear takes a node that another one tells of. It has to be greeted before it is listed.
func (r *ring) hear(now time.Time, n node) {
	if n.peer == r.self.peer || uint64(n.slot) >= 1<<r.circle {
		return
	}
	if at, ok := r.lost[n.peer]; ok {
		if now.Sub(at) < mourning {
			return
		}
		delete(r.lost, n.peer)
	}
	if s, ok := r.hints.slots[n.peer]; ok && s != n.slot {
		return // what is known at first hand, or first, is asked first
	}
	if i, taken := r.hints.index(n.slot); !taken || r.hints.nodes[i].peer == n.peer {
		r.hints.learn(n)
	}
	if !r.stores {
		return
	}
	r.meetFinger(n)
	_, ahead := list(slices.Clone(r.succs), n, r.ahead)
	_, behind := list(slices.Clone(r.preds), n, r.behind)
	if ahead || behind || n.slot == r.self.slot {
		r.probe(n)
	}
}

func (r *ring) probe(n node) {
	if len(r.probes) < maxProbes && !slices.Contains(r.probes, n) {
		r.probes = append(r.probes, n)
	}
}

// drop takes a peer out of everything.
func (r *ring) drop(peer string) {
	gone := func(o node) bool { return o.peer == peer }
	r.shaken = r.shaken || slices.ContainsFunc(r.preds, gone)
	r.succs = slices.DeleteFunc(r.succs, gone)
	r.preds = slices.DeleteFunc(r.preds, gone)
	r.probes = slices.DeleteFunc(r.probes, gone)
	r.hints.forget(peer)
	r.fingers.drop(peer)
	if !r.stores {
		return
	}
	for _, n := range r.neighbours() {
		r.fingers.meet(n)
	}
	if len(r.succs) == 0 { // everybody listed is gone: somebody further away may not be
		for _, n := range r.hints.answer(r.self.slot) {
			if n != r.self {
				r.succs = append(r.succs[:0], n)
				r.probe(n)
				break
			}
		}
	}
}

// lose notes that a peer is silent, or gone.
func (r *ring) lose(now time.Time, peer string) {
	if len(r.lost) >= maxLost {
		for p, at := range r.lost {
			if now.Sub(at) >= mourning {
				delete(r.lost, p)
			}
		}
	}
	if len(r.lost) < maxLost {
		r.lost[peer] = now
	}
	r.drop(peer)
}

// depart takes the farewell of a node: its neighbours close the gap.
func (r *ring) depart(now time.Time, v view) {
	r.lose(now, v.self.peer)
	r.hearAll(now, v)
}

// takeProbes returns the nodes to be greeted because of what was heard.
func (r *ring) takeProbes() []node {
	probes := r.probes
	r.probes = nil
	return probes
}

// upkeep says whom to greet regularly, and what to look up: the goal of a finger, and now
// and then, by way of somebody far, who precedes this node. If that is not the one that is
// listed, there are two rings, which grow together from here.
func (r *ring) upkeep() (greet []node, look []*lookup) {
	if !r.stores {
		return nil, nil
	}
	r.turn++
	if n := len(r.hints.nodes); r.turn%seekPace == 0 && n > 1 {
		if far := r.hints.nodes[r.turn/seekPace%n]; far != r.self {
			look = append(look, newLookup(r.circle, r.at(r.self.slot, 1<<r.circle-1), far))
		}
	}
	if len(r.succs) == 0 {
		return nil, look
	}
	greet = append(greet, r.succs[0])
	if len(r.preds) > 0 && r.preds[0] != r.succs[0] {
		greet = append(greet, r.preds[0])
	}
	if last := r.ahead(r.succs[len(r.succs)-1]); !r.all() {
		for range r.table {
			r.finger = (r.finger + 1) % len(r.table)
			if goal := r.at(r.self.slot, 1<<r.finger); uint64(1)<<r.finger > last {
				start, _ := r.next(goal)
				return greet, append(look, newLookup(r.circle, goal, start))
			}
		}
	}
	return greet, look
}

// seekPace is how often a node looks for other rings: once in so many turns of upkeep.
const seekPace = 8

// A verdict is what comes of a claim.
type verdict int

const (
	granted verdict = iota
	taken           // somebody else has the slot
	notMine         // the slot is another's to grant
	busy            // another claim is not settled
)

// claimed is the last claim that was granted.
type claimed struct {
	node
	at time.Time
}

// grantTime is how long a slot is kept for who has claimed it and is not heard of.
const grantTime = 5 * time.Second

// claim asks for a slot, as a peer that is not in the ring. The slot's owner makes it its
// successor at once, so that of two claims the second is asked of the first's node.
func (r *ring) claim(now time.Time, s slot, peer string) verdict {
	n := node{s, peer}
	switch {
	case !r.stores:
		return notMine
	case s == r.self.slot:
		return taken
	case r.grant.peer != "" && r.grant.node != n && now.Sub(r.grant.at) < grantTime:
		return busy
	case !r.owns(s) && r.grant.node != n:
		return notMine
	}
	r.drop(peer)
	delete(r.lost, peer)
	r.insert(n)
	r.grant = claimed{n, now}
	return granted
}
