package mesh

import (
	"testing"
	"time"
)

func TestConduct(t *testing.T) {
	type step struct {
		ms   int
		d    deed
		n    int64
		over bool
	}
	most := func(d deed) int64 { return budgets[d].most }
	for name, steps := range map[string][]step{
		"the tenth in a minute": {{0, badBatch, 9, false}, {59_999, badBatch, 1, true}},
		"one a minute":          {{0, badFrame, 9, false}, {60_000, badFrame, 9, false}, {119_999, badFrame, 1, true}},
		"each for itself":       {{0, badBatch, 9, false}, {1, badFrame, 9, false}, {2, refusedStream, 250, false}},
		"all at once":           {{0, authored, most(authored) + 1, true}},
		"taken back": {
			{0, uselessBytes, most(uselessBytes), false}, {1, uselessBytes, -1000, false},
			{2, uselessBytes, 1000, false}, {3, uselessBytes, 1, true},
		},
	} {
		var c conduct
		for i, s := range steps {
			if got := c.add(at(s.ms), s.d, s.n); got != s.over {
				t.Errorf("%s: step %d: over the budget: %v", name, i, got)
			}
		}
	}
}

func TestConductIsForgotten(t *testing.T) {
	var c conduct
	c.add(at(0), linkFrame, 1)
	c.exclude(at(600_000))
	if c.over(at(599_999)) || !c.over(at(600_000)) {
		t.Error("it is not outside until the end of its time")
	}
	c.add(at(700_000), badBatch, 1)
	if c.over(at(759_999)) || !c.over(at(760_000)) {
		t.Error("a deed is not remembered for the time of its budget")
	}
	if c.outside.After(at(600_000)) || time.Duration(0) != c.outside.Sub(at(600_000)) {
		t.Errorf("outside until %v", c.outside)
	}
}
