package ring

import (
	"slices"
	"time"
)

// A Verdict is what comes of a claim. The numbers are those of the wire.
type Verdict int

// The verdicts.
const (
	Granted Verdict = iota
	Taken           // another node has the slot
	NotMine         // another node owns the slot
	Busy            // an earlier claim is not settled
)

func (v Verdict) String() string {
	return [...]string{"granted", "taken", "not mine to grant", "busy"}[v]
}

// claimed is the last claim that was granted.
type claimed struct {
	Node
	at time.Time
}

// grantTime is for how long a slot is kept for a node that has claimed it and is not heard of.
const grantTime = 5 * time.Second

// Claim decides about the claim of a slot by a peer that has none. The owner of the slot makes
// the peer its successor at once, so that of two claims the second is decided by the first
// peer.
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

// Found begins a ring of this node alone, with a number that no other ring has.
func (r *Ring) Found(now time.Time, s Slot, id uint64) Effects {
	return r.Enter(now, s, View{Ring: id})
}

// Enter takes a slot that another node has granted, with the view of that node.
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
			r.greet(n)
		}
	}
	r.cache.learn(r.self)
	for _, n := range r.cache.nodes {
		r.meetFinger(n)
	}
	return r.take()
}

// Exit gives up the slot. What is known of other nodes stays in the location cache.
func (r *Ring) Exit() {
	r.cache.forget(r.self.Peer)
	r.stores, r.preds, r.succs = false, nil, nil
	r.fingers = newFingers(r.k, r.self)
}
