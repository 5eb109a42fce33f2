package replica

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// P9: what is relayed takes no lease of a peer that runs, and of what was written on
// both sides without knowledge of each other that of the peer stands.
func TestRules_RelayedIsLower(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newHistory(t, 3, true)
		for step := range rapid.IntRange(5, 60).Draw(t, "steps") {
			w.clock += time.Duration(w.rng.IntN(30)) * time.Minute
			i := w.rng.IntN(3)
			r := w.replicas[i]
			held := r.tree.get("k")
			o := Op{Key: "k", Value: fmt.Sprint(step)}
			if w.rng.IntN(2) == 0 {
				o.By = &Relayed{Owner: fmt.Sprint("legacy:s/", w.rng.IntN(2)), Time: w.now().Wall, Age: time.Duration(w.rng.IntN(90)) * time.Minute}
			}
			leased := held != nil && !isLegacy(held.Owner) && r.Remaining(w.now(), held) > 0
			w.write(i, o, 0.3)
			if now := r.tree.get("k"); o.By != nil && leased && now != held {
				t.Fatalf("%s took a lease of %s that runs for %v", o.By.Owner, held.Owner, r.Remaining(w.now(), held))
			}
			for len(w.flight) > 0 && w.rng.IntN(3) > 0 {
				w.land()
			}
		}
		// Two who know of nothing but what all know claim it.
		for range 3 {
			w.reconcile(w.replicas[0], w.replicas[1])
			w.reconcile(w.replicas[1], w.replicas[2])
			w.reconcile(w.replicas[2], w.replicas[0])
		}
		w.flight = nil
		w.clock += 2 * time.Hour
		if held := w.replicas[0].tree.get("k"); held != nil && w.rng.IntN(2) == 0 {
			for i := range w.replicas {
				if w.replicas[i].Self == held.Owner || isLegacy(held.Owner) && i == 0 {
					w.write(i, Op{Key: "k", Delete: true}, 0)
				}
			}
			for len(w.flight) > 0 {
				w.land()
			}
		}
		before := w.replicas[1].tree.get("k")
		w.write(0, Op{Key: "k", Value: "old", By: &Relayed{Owner: "legacy:s/9", Time: w.now().Wall}}, 1)
		w.write(1, Op{Key: "k", Value: "native"}, 1)
		w.reconcile(w.replicas[0], w.replicas[1])
		for _, r := range w.replicas[:2] {
			if e := r.tree.get("k"); e.Value != "native" && (before == nil || before.Owner != "b") { // who has had it goes on in its term
				t.Fatalf("%s has %q of %s, term %d; before was %v", r.Self, e.Value, e.Owner, e.Term, before)
			}
		}
	})
}
