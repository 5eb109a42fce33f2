package peerlimit

import (
	"testing"
	"time"
)

func TestConduct(t *testing.T) {
	type step struct {
		ms   int
		d    Violation
		n    int64
		over bool
	}
	most := func(d Violation) int64 { return Budgets[d].Most }
	for name, steps := range map[string][]step{
		"the tenth in a minute": {{0, BadBatch, 9, false}, {59_999, BadBatch, 1, true}},
		"one a minute":          {{0, BadFrame, 9, false}, {60_000, BadFrame, 9, false}, {119_999, BadFrame, 1, true}},
		"each for itself":       {{0, BadBatch, 9, false}, {1, BadFrame, 9, false}, {2, RefusedStream, 250, false}},
		"all at once":           {{0, Authored, most(Authored) + 1, true}},
		"taken back": {
			{0, UselessBytes, most(UselessBytes), false}, {1, UselessBytes, -1000, false},
			{2, UselessBytes, 1000, false}, {3, UselessBytes, 1, true},
		},
	} {
		var c Counter
		for i, s := range steps {
			if got := c.Add(at(s.ms), s.d, s.n); got != s.over {
				t.Errorf("%s: step %d: over the budget: %v", name, i, got)
			}
		}
	}
}

func TestConductIsForgotten(t *testing.T) {
	var c Counter
	c.Add(at(0), ControlFrame, 1)
	c.Ban(at(600_000))
	if c.Idle(at(599_999)) || !c.Idle(at(600_000)) {
		t.Error("it is not outside until the end of its time")
	}
	c.Add(at(700_000), BadBatch, 1)
	if c.Idle(at(759_999)) || !c.Idle(at(760_000)) {
		t.Error("a deed is not remembered for the time of its budget")
	}
	if c.Until.After(at(600_000)) || time.Duration(0) != c.Until.Sub(at(600_000)) {
		t.Errorf("outside until %v", c.Until)
	}
}
