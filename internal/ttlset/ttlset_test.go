package ttlset

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// A set is what a list of all that was ever added says that it is.
func TestSet_BehavesAsItsModel(t *testing.T) {
	type added struct {
		name string
		at   time.Time
	}
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 1))
		s, now := New(10*time.Second, 20), time.Unix(0, 0)
		var list []added
		for step := range 2000 {
			now = now.Add(time.Duration(rng.IntN(1500)) * time.Millisecond)
			for len(list) > 0 && now.Sub(list[0].at) > 10*time.Second {
				list = list[1:]
			}
			name := fmt.Sprint(rng.IntN(40))
			known := false
			for _, a := range list {
				known = known || a.name == name
			}
			if got := s.Has(now, name); got != known {
				t.Fatalf("seed %d, step %d: %s is there: %v", seed, step, name, got)
			}
			if got := s.Add(now, name); got == known {
				t.Fatalf("seed %d, step %d: %s is new: %v", seed, step, name, got)
			}
			if !known {
				if len(list) == 20 {
					list = list[1:]
				}
				list = append(list, added{name, now})
			}
			if len(s.since) != len(list) {
				t.Fatalf("seed %d, step %d: %d are kept, not %d", seed, step, len(s.since), len(list))
			}
		}
	}
}
