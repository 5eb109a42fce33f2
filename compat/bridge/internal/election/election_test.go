package election

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// Of bridges that hear each other one is elected, and another when it is silent; while they do not yet hear each other
// nobody is.
func TestElection_OneWinsAndAnotherFollowsIt(t *testing.T) {
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 1))
		now := time.Unix(0, 0).Add(time.Hour)
		var all []*Election
		alive := map[int]bool{}
		for i := range 2 + rng.IntN(4) {
			e := New(fmt.Sprint("peer ", i))
			e.Join(now)
			all = append(all, &e)
			alive[i] = true
		}
		said := make([]time.Time, len(all))
		wins := func() (n int) {
			for i, e := range all {
				if alive[i] && e.Won(now) {
					n++
				}
			}
			return n
		}
		if wins() != 0 {
			t.Fatalf("seed %d: elected before anybody could be heard", seed)
		}
		end, last := now.Add(10*time.Minute), now
		for ; now.Before(end); now = now.Add(200 * time.Millisecond) {
			for i, e := range all {
				if !alive[i] || now.Sub(said[i]) < AnnounceEvery {
					continue
				}
				said[i] = now
				for j, other := range all {
					if alive[j] && j != i && other.Hear(now, e.self) {
						said[j] = time.Time{}
					}
				}
			}
			if len(alive) > 1 && rng.IntN(600) == 0 {
				i := rng.IntN(len(all))
				if alive[i] {
					delete(alive, i)
					last = now
				}
			}
			if n := wins(); n > 1 || n == 0 && now.Sub(last) > silence+Settle {
				t.Fatalf("seed %d: %d are elected, %v after the last has gone", seed, n, now.Sub(last))
			}
		}
	}
}

func TestElection_RemembersSoManyBridges(t *testing.T) {
	e := New("m")
	for i := range 1000 {
		e.Hear(time.Unix(0, 0), fmt.Sprint(i))
	}
	if len(e.others) > maxBridges {
		t.Errorf("%d bridges are remembered", len(e.others))
	}
}
