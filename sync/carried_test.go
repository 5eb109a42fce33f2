package sync

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// P9: what is carried over takes no lease of a peer that runs, and of what was written on
// both sides without knowledge of each other that of the peer stands.
func TestCarriedIsLower(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, 3, true)
		for step := range rapid.IntRange(5, 60).Draw(t, "steps") {
			w.clock += time.Duration(w.rng.IntN(30)) * time.Minute
			i := w.rng.IntN(3)
			r := w.replicas[i]
			held := r.tree.get("k")
			o := op{key: "k", value: fmt.Sprint(step)}
			if w.rng.IntN(2) == 0 {
				o.by = &Carried{Owner: fmt.Sprint("legacy:s/", w.rng.IntN(2)), Time: w.now().wall, Age: time.Duration(w.rng.IntN(90)) * time.Minute}
			}
			leased := held != nil && !isLegacy(held.owner) && r.remaining(w.now(), held) > 0
			w.write(i, o, 0.3)
			if now := r.tree.get("k"); o.by != nil && leased && now != held {
				t.Fatalf("%s took a lease of %s that runs for %v", o.by.Owner, held.owner, r.remaining(w.now(), held))
			}
			for len(w.flight) > 0 && w.rng.IntN(3) > 0 {
				w.land()
			}
		}
		// Two who know of nothing but what all know claim it.
		for range 3 {
			w.level(w.replicas[0], w.replicas[1])
			w.level(w.replicas[1], w.replicas[2])
			w.level(w.replicas[2], w.replicas[0])
		}
		w.flight = nil
		w.clock += 2 * time.Hour
		if held := w.replicas[0].tree.get("k"); held != nil && w.rng.IntN(2) == 0 {
			for i := range w.replicas {
				if w.replicas[i].self == held.owner || isLegacy(held.owner) && i == 0 {
					w.write(i, op{key: "k", delete: true}, 0)
				}
			}
			for len(w.flight) > 0 {
				w.land()
			}
		}
		before := w.replicas[1].tree.get("k")
		w.write(0, op{key: "k", value: "old", by: &Carried{Owner: "legacy:s/9", Time: w.now().wall}}, 1)
		w.write(1, op{key: "k", value: "native"}, 1)
		w.level(w.replicas[0], w.replicas[1])
		for _, r := range w.replicas[:2] {
			if e := r.tree.get("k"); e.value != "native" && (before == nil || before.owner != "b") { // who has had it goes on in its term
				t.Fatalf("%s has %q of %s, term %d; before was %v", r.self, e.value, e.owner, e.term, before)
			}
		}
	})
}
