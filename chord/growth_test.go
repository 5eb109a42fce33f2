package chord

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/chord/internal/ring"
)

// What a table costs each of its peers as it grows. With GO2P_LONG=1 it shows the figures
// of docs/bench.md.
func TestTable_CostAsItGrows(t *testing.T) {
	for _, n := range long([]int{20, 60}, []int{20, 100, 500}) {
		seed := rand.Uint64()
		t.Run(fmt.Sprint(n, "peers"), func(t *testing.T) {
			t.Logf("seed %d", seed)
			synctest.Test(t, func(t *testing.T) { grow(t, seed, n) })
		})
	}
}

func grow(t *testing.T, seed uint64, n int) {
	const k, keys = 20, 20
	ctx := context.Background()
	f := newSimNetwork(t, seed)
	var nodes []*Table
	for i := range n {
		node := f.add(fmt.Sprintf("peer%d", i), k)
		f.join(node)
		nodes = append(nodes, node)
	}
	f.awaitWhole(10 * time.Minute)
	joining := float64(f.questions("")) / float64(n)
	time.Sleep(2 * time.Minute)

	before := f.questions("")
	const rest = 5 * time.Minute
	time.Sleep(rest)
	perSecond := float64(f.questions("")-before) / rest.Seconds() / float64(n)

	known, upkept := 0, 0
	for _, node := range nodes {
		s := node.Status()
		known, upkept = known+s.Known, upkept+s.Upkept
		if s.Upkept > k+2*ring.Listed+1 {
			t.Errorf("%d peers are upkept", s.Upkept)
		}
	}
	asked := [2]int{} // by a peer that has just come, and then
	for i := range keys {
		key := fmt.Sprint("key", i)
		if err := nodes[i].Set(ctx, key, i); err != nil {
			t.Fatal(err)
		}
		leech := f.add(fmt.Sprint("leech", i), k)
		for j := range asked {
			before := f.questions(leech.node.id)
			if got, err := leech.Get(ctx, key); err != nil || got != int64(i) {
				t.Fatalf("%s is %v, %v", key, got, err)
			}
			asked[j] += f.questions(leech.node.id) - before
		}
		f.crash(leech)
	}
	mean := func(sum, of int) float64 { return float64(sum) / float64(of) }
	t.Logf("%d peers: first get of a stranger %.1f questions, the next %.1f; %.1f peers known, %.1f upkept; %.2f questions/s and peer at rest, %.0f a join",
		n, mean(asked[0], keys), mean(asked[1], keys), mean(known, n), mean(upkept, n), perSecond, joining)
}

// questions is how many there were of one peer, or of all.
func (f *simNetwork) questions(of peer.ID) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if of == "" {
		return f.asked
	}
	return f.by[of]
}
