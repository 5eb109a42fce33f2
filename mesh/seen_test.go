package mesh

import (
	"fmt"
	"math"
	"testing"

	"pgregory.net/rapid"
)

// Any order and repetition of numbers: each is new exactly once.
func TestSeenAgainstASet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := seen{map[string]*authorSeen{}}
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
			if got := s.add(at(0), k.author, k.boot, k.seq); got == model[k] {
				t.Fatalf("%v: new %v, but handled before %v", k, got, model[k])
			}
			model[k] = true
		}
	})
}

func TestSeenStaysBounded(t *testing.T) {
	s := seen{map[string]*authorSeen{}}
	for i := range uint64(10 * maxSpans) {
		s.add(at(0), "gaps", 1, 2*i)
	}
	if n := len(s.authors["gaps"].boots[0].spans); n > maxSpans {
		t.Errorf("%d spans", n)
	}
	if s.add(at(0), "gaps", 1, 1) {
		t.Error("a number in a gap that was given up counts as new")
	}
	if !s.add(at(0), "gaps", 1, 20*maxSpans-3) {
		t.Error("a number in a gap that is remembered counts as seen")
	}

	for boot := range uint64(10) {
		s.add(at(0), "boots", boot, 1)
	}
	if n := len(s.authors["boots"].boots); n != maxBoots {
		t.Errorf("%d boots", n)
	}
	if s.add(at(0), "boots", 5, 2) {
		t.Error("a message of a forgotten run counts as new")
	}

	for i := range 2 * maxAuthors {
		s.add(at(i), fmt.Sprint(i), 1, 1)
	}
	if n := len(s.authors); n != maxAuthors {
		t.Errorf("%d authors", n)
	}
	if s.add(at(0), fmt.Sprint(2*maxAuthors-1), 1, 1) {
		t.Error("the author heard last was forgotten")
	}
}
