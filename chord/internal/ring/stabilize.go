package ring

import (
	"slices"
	"time"
)

// Meet takes the view of a node that has asked or answered.
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
	// A node that is listed here and not by a neighbour, which should know it, may be gone.
	if len(r.succs) > 0 && r.succs[0] == x {
		r.checkMissing(r.succs[1:], v.Succs, r.ahead)
	}
	if len(r.preds) > 0 && r.preds[0] == x {
		r.checkMissing(r.preds[1:], v.Preds, r.behind)
	}
	r.hearAll(now, v)
}

// unite makes the ring one with that of a neighbour, if they were founded apart. The older ring
// stays. That it has grown is told from node to node, by the count of merges.
func (r *Ring) unite(now time.Time, v View) {
	older := v.Age - now.Sub(r.born)
	switch {
	case v.Ring == r.id && v.Merges <= r.merges:
		return
	case v.Ring == r.id:
		r.merges = v.Merges
	case older > sameAge || older > -sameAge && v.Ring < r.id:
		r.id, r.born, r.merges, r.effects.Yielded = v.Ring, now.Add(-v.Age), max(r.merges, v.Merges), true
	default:
		r.merges = max(r.merges, v.Merges) + 1
	}
	r.effects.Merged = true
}

// hearAll takes the nodes that a view lists.
func (r *Ring) hearAll(now time.Time, v View) {
	for _, n := range v.Preds {
		r.hear(now, n)
	}
	for _, n := range v.Succs {
		r.hear(now, n)
	}
}

// checkMissing has those nodes greeted that another list lacks though it goes further.
func (r *Ring) checkMissing(mine, theirs []Node, distance func(Node) uint64) {
	for _, n := range mine {
		if !slices.Contains(theirs, n) && (len(theirs) < Listed || distance(n) < distance(theirs[len(theirs)-1])) {
			r.greet(n)
		}
	}
}

// Hear takes a node that another one tells of. It is listed only after it has answered a
// greeting.
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
		return // the slot that was heard of first is asked first
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
		r.greet(n)
	}
}

// greet has a node greeted.
func (r *Ring) greet(n Node) {
	if e := &r.effects; len(e.Greet) < maxGreet && !slices.Contains(e.Greet, n) {
		e.Greet = append(e.Greet, n)
	}
}

// drop takes a peer out of the lists, the fingers and the location cache.
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
	if len(r.succs) == 0 { // all that were listed are gone; a node further away may not be
		for _, n := range r.cache.answer(r.self.Slot) {
			if n != r.self {
				r.succs = append(r.succs[:0], n)
				r.greet(n)
				break
			}
		}
	}
}

// Lose takes out a peer that does not answer, and puts it in quarantine.
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

// Depart takes the goodbye of a node, with its last view: its neighbours close the gap.
func (r *Ring) Depart(now time.Time, v View) Effects {
	r.lose(now, v.Self.Peer)
	r.hearAll(now, v)
	return r.take()
}

// Stabilize does one round of what is done regularly. It has the nearest neighbours greeted, and
// the goal of one finger looked up. Now and then it has a far node asked who precedes this one:
// if that is not the listed predecessor there are two rings, which grow together from here.
func (r *Ring) Stabilize() (e Effects) {
	if !r.stores {
		return e
	}
	r.round++
	if n := len(r.cache.nodes); r.round%seekPace == 0 && n > 1 {
		if far := r.cache.nodes[r.round/seekPace%n]; far != r.self {
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

// seekPace is after how many rounds a node looks for other rings.
const seekPace = 8
