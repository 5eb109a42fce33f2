package backoff

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestPolicy_DoublesFromMinToMax(t *testing.T) {
	p := Policy{Min: time.Second, Max: 30 * time.Second}
	var got []time.Duration
	for n := range 8 {
		got = append(got, p.After(n, nil)/time.Second)
	}
	if want := []time.Duration{1, 1, 2, 4, 8, 16, 30, 30}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if d := p.After(math.MaxInt, nil); d != p.Max {
		t.Errorf("after very many it is %v", d)
	}
}

func TestPolicy_NeverShrinksNorExceedsMax(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := Policy{
			Min: time.Duration(rapid.Int64Range(1, math.MaxInt64).Draw(t, "min")),
			Max: time.Duration(rapid.Int64Range(1, math.MaxInt64).Draw(t, "max")),
		}
		failures := rapid.IntRange(-1, 100).Draw(t, "failures")
		pause := p.After(failures, nil)
		if pause < min(p.Min, p.Max) || pause > p.Max {
			t.Fatalf("%v is not from min to max", pause)
		}
		if next := p.After(failures+1, nil); next < pause || next > p.Max {
			t.Fatalf("%v follows %v", next, pause)
		}
	})
}

func TestPolicy_JitterStaysWithinItsParts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := Policy{Min: time.Second, Max: time.Minute}
		failures := rapid.IntRange(1, 10).Draw(t, "failures")
		pause := p.After(failures, nil)
		p.Less, p.More = rapid.Float64Range(0, 1).Draw(t, "less"), rapid.Float64Range(0, 1).Draw(t, "more")
		low, high := float64(pause)*(1-p.Less), float64(pause)*(1+p.More)
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		if got := float64(p.After(failures, rng)); got < math.Floor(low) || got > high {
			t.Fatalf("%v is not from %v to %v", got, low, high)
		}
	})
}

func TestBackoff_ResetBeginsAnew(t *testing.T) {
	b := Backoff{Policy: Policy{Min: 1, Max: 10}}
	got := []time.Duration{b.Next(nil), b.Next(nil), b.Next(nil)}
	if b.Failures() != 3 {
		t.Errorf("%d failures", b.Failures())
	}
	b.Reset()
	got = append(got, b.Next(nil))
	if want := []time.Duration{1, 2, 4, 1}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
