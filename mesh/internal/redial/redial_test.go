package redial

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestBackoff_DoublesWithJitter(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for failures, want := range []time.Duration{
		1: time.Second, 2: 2 * time.Second, 3: 4 * time.Second, 4: 8 * time.Second,
		5: 16 * time.Second, 6: 30 * time.Second, 7: 30 * time.Second, 1000: 30 * time.Second,
	} {
		if want == 0 {
			continue
		}
		seen := map[time.Duration]bool{}
		for range 20 {
			got := Backoff(failures, rng)
			if got < want*8/10 || got > want*12/10 {
				t.Fatalf("after %d failures: %v, want about %v", failures, got, want)
			}
			seen[got] = true
		}
		if len(seen) < 10 {
			t.Errorf("after %d failures: hardly any jitter", failures)
		}
	}
}

func TestSchedule_DialsUntilRemoved(t *testing.T) {
	r := New(rand.New(rand.NewPCG(1, 2)))
	if !r.Deadline().IsZero() {
		t.Fatal("a deadline with nobody to dial")
	}
	r.Add(at(0), "b")
	r.Add(at(0), "a")
	if got := r.Advance(at(0)).Dial; !slices.Equal(got, []string{"a", "b"}) {
		t.Fatalf("due: %v", got)
	}
	if got := r.Advance(at(0)).Dial; got != nil {
		t.Fatalf("%v came up twice", got)
	}
	r.Add(at(1), "a") // still being dialled
	r.Remove("b")
	if !r.Deadline().IsZero() {
		t.Fatal("a deadline while the only one is being dialled")
	}
	r.Failed(at(0), "a")
	r.Failed(at(0), "b") // called off meanwhile
	next := r.Deadline()
	if next.Before(at(800)) || next.After(at(1200)) {
		t.Fatalf("next try at %v", next)
	}
	if got := r.Advance(next.Add(-1)).Dial; got != nil {
		t.Fatalf("%v came up early", got)
	}
	if got := r.Advance(next).Dial; !slices.Equal(got, []string{"a"}) {
		t.Fatalf("due: %v", got)
	}
}
