package repair

import (
	"fmt"
	"math"
	"testing"

	"pgregory.net/rapid"
)

// Any order and repetition of numbers: each is new exactly once.
func TestSeen_EachNumberIsNewOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := NewSeen()
		type key struct {
			author    string
			boot, seq uint64
		}
		model := map[key]bool{}
		for range rapid.IntRange(0, 300).Draw(t, "messages") {
			k := key{
				rapid.SampledFrom([]string{"a", "b"}).Draw(t, "author"),
				rapid.SampledFrom([]uint64{1, 2, math.MaxUint64}).Draw(t, "boot"),
				rapid.OneOf(rapid.Uint64Max(60), rapid.Uint64Min(math.MaxUint64-60)).Draw(t, "seq"),
			}
			if got, _ := s.Add(at(0), k.author, k.boot, k.seq); got == model[k] {
				t.Fatalf("%v: new %v, but handled before %v", k, got, model[k])
			}
			model[k] = true
		}
	})
}

// The gaps are the numbers that were not added, and filling one makes it seen.
func TestSeen_GapsAreThoseOfASet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := NewSeen()
		has := map[uint64]bool{}
		for range rapid.IntRange(0, 40).Draw(t, "numbers") {
			n := rapid.Uint64Range(1, 60).Draw(t, "number")
			s.Add(at(0), "a", 1, n)
			has[n] = true
		}
		low := rapid.Uint64Range(1, 60).Draw(t, "low")
		high := rapid.Uint64Range(low, 60).Draw(t, "high")
		gaps := s.gaps("a", 1, low, high)
		missing := map[uint64]bool{}
		for _, g := range gaps {
			for n := g.First; n <= g.Last; n++ {
				missing[n] = true
			}
		}
		for n := low; n <= high; n++ {
			if missing[n] == has[n] {
				t.Fatalf("%d: missing %v, added %v", n, missing[n], has[n])
			}
		}
		for _, g := range gaps {
			if len(has) > 0 {
				s.fill("a", 1, g.First, g.Last)
			}
		}
		if left := s.gaps("a", 1, low, high); len(has) > 0 && len(left) != 0 {
			t.Fatalf("left %v", left)
		}
	})
}

func TestSeen_StaysBounded(t *testing.T) {
	s := NewSeen()
	for i := range uint64(10 * maxIntervals) {
		_, lost := s.Add(at(0), "gaps", 1, 2*i)
		if want := (Interval{First: 2*(i-maxIntervals) + 1, Last: 2*(i-maxIntervals) + 1}); i >= maxIntervals && lost != want || i < maxIntervals && lost != (Interval{}) {
			t.Fatalf("number %d: given up %v", 2*i, lost)
		}
	}
	if n := len(s.authors["gaps"].boots[0].numbers); n > maxIntervals {
		t.Errorf("%d intervals", n)
	}
	if fresh, _ := s.Add(at(0), "gaps", 1, 1); fresh {
		t.Error("a number in a gap that was given up counts as new")
	}
	if fresh, _ := s.Add(at(0), "gaps", 1, 20*maxIntervals-3); !fresh {
		t.Error("a number in a gap that is remembered counts as seen")
	}

	for boot := range uint64(10) {
		s.Add(at(0), "boots", boot, 1)
	}
	if n := len(s.authors["boots"].boots); n != maxBoots {
		t.Errorf("%d boots", n)
	}
	if fresh, _ := s.Add(at(0), "boots", 5, 2); fresh {
		t.Error("a message of a forgotten run counts as new")
	}

	for i := range 2 * maxAuthors {
		s.Add(at(i), fmt.Sprint(i), 1, 1)
	}
	if n := len(s.authors); n != maxAuthors {
		t.Errorf("%d authors", n)
	}
	if fresh, _ := s.Add(at(0), fmt.Sprint(2*maxAuthors-1), 1, 1); fresh {
		t.Error("the author heard last was forgotten")
	}
}
