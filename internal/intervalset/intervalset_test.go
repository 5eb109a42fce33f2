package intervalset

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestSet_AddJoinsIntervals(t *testing.T) {
	for name, c := range map[string]struct {
		set  Set
		add  Interval
		want Set
	}{
		"to an empty set":        {nil, Interval{3, 4}, Set{{3, 4}}},
		"behind, and touching":   {Set{{1, 2}}, Interval{3, 3}, Set{{1, 3}}},
		"behind, with a gap":     {Set{{1, 2}}, Interval{4, 4}, Set{{1, 2}, {4, 4}}},
		"before, and touching":   {Set{{5, 6}}, Interval{3, 4}, Set{{3, 6}}},
		"between, joining both":  {Set{{1, 2}, {4, 5}}, Interval{3, 3}, Set{{1, 5}}},
		"over several":           {Set{{1, 1}, {3, 3}, {5, 5}, {9, 9}}, Interval{2, 6}, Set{{1, 6}, {9, 9}}},
		"what is there":          {Set{{1, 9}}, Interval{2, 3}, Set{{1, 9}}},
		"first above last":       {Set{{1, 2}}, Interval{9, 8}, Set{{1, 2}}},
		"the lowest number":      {Set{{1, 2}}, Interval{0, 0}, Set{{0, 2}}},
		"the highest number":     {Set{{1, 2}}, Interval{math.MaxUint64, math.MaxUint64}, Set{{1, 2}, {math.MaxUint64, math.MaxUint64}}},
		"all numbers":            {Set{{1, 2}, {math.MaxUint64, math.MaxUint64}}, Interval{0, math.MaxUint64}, Set{{0, math.MaxUint64}}},
		"beside the highest one": {Set{{math.MaxUint64, math.MaxUint64}}, Interval{math.MaxUint64 - 1, math.MaxUint64 - 1}, Set{{math.MaxUint64 - 1, math.MaxUint64}}},
	} {
		if c.set.Add(c.add.First, c.add.Last); !slices.Equal(c.set, c.want) {
			t.Errorf("%s: %v, want %v", name, c.set, c.want)
		}
	}
}

func TestSet_FillLowestGapJoinsTheTwoLowest(t *testing.T) {
	s := Set{{2, 3}, {6, 7}, {9, 9}}
	if gap, ok := s.FillLowestGap(); !ok || gap != (Interval{4, 5}) || !slices.Equal(s, Set{{2, 7}, {9, 9}}) {
		t.Errorf("%v, %v; %v is left", gap, ok, s)
	}
	s.FillLowestGap()
	if gap, ok := s.FillLowestGap(); ok {
		t.Errorf("a gap %v in %v", gap, s)
	}
}

func TestSet_ValidRefusesWrongIntervals(t *testing.T) {
	for _, s := range []Set{{{2, 1}}, {{1, 2}, {2, 3}}, {{1, 2}, {3, 4}}, {{5, 6}, {1, 2}}, {{0, math.MaxUint64}, {0, 0}}} {
		if s.Valid() {
			t.Errorf("%v is valid", s)
		}
	}
}

// model checks a set against a plain one, on a stretch of numbers that begins at base.
func model(t interface{ Fatalf(string, ...any) }, base uint64, ops []byte) {
	const size = 24
	var s Set
	in := [size]bool{}
	for len(ops) >= 2 {
		lo, hi := ops[0]%size, ops[1]%size
		full := ops[1] >= 200 && len(s) > 1
		ops = ops[2:]
		if full {
			gap, _ := s.FillLowestGap()
			for n := gap.First; n <= gap.Last; n++ {
				if in[n-base] {
					t.Fatalf("%d was in the gap %v", n, gap)
				}
				in[n-base] = true
			}
		} else {
			s.Add(base+uint64(lo), base+uint64(hi))
			for n := lo; n <= hi; n++ {
				in[n] = true
			}
		}
		if !s.Valid() {
			t.Fatalf("%v is not valid", s)
		}
		var highest uint64
		var missing Set
		for i, has := range in {
			n := base + uint64(i)
			if s.Contains(n) != has {
				t.Fatalf("%v contains %d: %v", s, n, !has)
			}
			if has {
				highest = n
			} else if n >= base+uint64(lo) && n <= base+uint64(hi) {
				missing.Add(n, n)
			}
		}
		if s.Max() != highest {
			t.Fatalf("the highest of %v is %d, not %d", s, s.Max(), highest)
		}
		if got := s.Missing(base+uint64(lo), base+uint64(hi)); !slices.Equal(got, missing) {
			t.Fatalf("from %d to %d %v lacks %v, not %v", base+uint64(lo), base+uint64(hi), s, got, missing)
		}
		if p := s.Prefix(); base <= 1 && (p != 0 && !s.Contains(p) || s.Contains(p+1) || p > 0 && len(s.Missing(1, p)) > 0) {
			t.Fatalf("the prefix of %v is %d", s, p)
		}
		var union Set
		for i, v := range s {
			if i%2 == 0 {
				union.Add(v.First, v.Last)
			}
		}
		if union.Union(s); !slices.Equal(union, s) {
			t.Fatalf("the union is %v, not %v", union, s)
		}
	}
}

func TestSet_BehavesAsAPlainSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := rapid.SampledFrom([]uint64{0, 1, 1000, math.MaxUint64 - 23}).Draw(t, "base")
		model(t, base, rapid.SliceOf(rapid.Byte()).Draw(t, "ops"))
	})
}

func FuzzSet(f *testing.F) {
	f.Add(true, []byte{1, 1, 3, 3, 2, 2, 9, 20, 0, 200})
	f.Add(false, []byte{23, 23, 0, 0, 1, 22, 22, 23})
	f.Fuzz(func(t *testing.T, low bool, ops []byte) {
		base := uint64(math.MaxUint64 - 23)
		if low {
			base = 0
		}
		model(t, base, ops)
	})
}

func BenchmarkSet_AddNext(b *testing.B) {
	var s Set
	n := uint64(0)
	for b.Loop() {
		n++
		s.Add(n, n)
	}
}
