package ring

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// A ring of ten thousand, with the lists and fingers that upkeep arrives at and no hints:
// a lookup takes at most k hops, and on average half of log2 n, or one more.
func TestLookup_HopsInLargeRing(t *testing.T) {
	const k = Circle(20)
	for _, n := range []int{100, long(2000, 10000)} {
		rng := rand.New(rand.NewPCG(1, uint64(n)))
		rings, now := map[string]*Ring{}, time.Unix(1e9, 0)
		var nodes []Node
		for i, s := range rng.Perm(1 << k)[:n] {
			nodes = append(nodes, Node{Slot(s), fmt.Sprint("peer", i)})
		}
		slices.SortFunc(nodes, func(a, b Node) int { return int(a.Slot) - int(b.Slot) })
		for i, self := range nodes {
			r := New(k, self.Peer)
			r.Found(now, self.Slot, 1)
			for j := 1; j <= Listed; j++ {
				r.succs = append(r.succs, nodes[(i+j)%n])
				r.preds = append(r.preds, nodes[(i+n-j)%n])
			}
			for x := range int(k) {
				goal := k.At(self.Slot, 1<<x)
				j, _ := slices.BinarySearchFunc(nodes, goal, func(o Node, s Slot) int { return int(o.Slot) - int(s) })
				r.fingers.meet(nodes[j%n])
			}
			rings[self.Peer] = r
		}
		total, most := 0, 0
		const lookups = 5000
		for range lookups {
			position := Slot(rng.IntN(1 << k))
			l := NewLookup(k, position, nodes[rng.IntN(n)])
			for !rings[l.At.Peer].Owns(position) {
				next, _ := rings[l.At.Peer].Next(position)
				if !l.Redirect(next) {
					t.Fatalf("lost at %v, looking for %d", l.At, position)
				}
			}
			total, most = total+l.hops, max(most, l.hops)
		}
		mean := float64(total) / lookups
		t.Logf("%d peers: %.2f hops on average, %d at most", n, mean, most)
		if limit := math.Log2(float64(n))/2 + 1; mean > limit || most > int(k) {
			t.Errorf("%d peers: %.2f hops on average, %d at most; at most %.2f and %d are allowed", n, mean, most, limit, k)
		}
	}
}

// Hints are the nodes that were learnt last, one for each slot and each peer.
func TestCache_IsBounded(t *testing.T) {
	h := newCache(16)
	for i := range 3 * MaxCached {
		h.learn(Node{Slot(i * 7 % (1 << 16)), fmt.Sprint("peer", i%(2*MaxCached))})
		if len(h.nodes) > MaxCached || len(h.nodes) != len(h.slots) {
			t.Fatalf("%d nodes, %d slots", len(h.nodes), len(h.slots))
		}
	}
	for i, n := range h.nodes {
		if h.slots[n.Peer] != n.Slot || i > 0 && h.nodes[i-1].Slot >= n.Slot {
			t.Fatalf("%v is out of place", n)
		}
	}
}
