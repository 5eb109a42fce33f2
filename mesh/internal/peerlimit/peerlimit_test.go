package peerlimit

import (
	"fmt"
	"testing"
	"time"
)

// at is a moment of a story, in milliseconds from its start.
func at(ms int) time.Time { return time.UnixMilli(int64(ms)) }

func TestTable_CountsWithinThePeriodOfABudget(t *testing.T) {
	type step struct {
		ms   int
		v    Violation
		n    int64
		over bool
	}
	most := func(v Violation) int64 { return DefaultBudgets()[v].Most }
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
		table := NewTable(DefaultBudgets())
		for i, s := range steps {
			if got := table.Count(at(s.ms), "peer", s.v, s.n); got != s.over {
				t.Errorf("%s: step %d: over the budget: %v", name, i, got)
			}
		}
	}
}

func TestTable_ForgetsIdlePeers(t *testing.T) {
	table := NewTable(DefaultBudgets())
	idle := func(ms int) bool { return table.idle(at(ms), table.peers["peer"]) }
	table.Count(at(0), "peer", ControlFrame, 1)
	table.Ban("peer", at(600_000))
	if idle(599_999) || !idle(600_000) {
		t.Error("the peer is not banned until the end of its time")
	}
	table.Count(at(700_000), "peer", BadBatch, 1)
	if idle(759_999) || !idle(760_000) {
		t.Error("a violation is not remembered for the period of its budget")
	}
	if !table.Banned(at(599_999), "peer") || table.Banned(at(600_000), "peer") {
		t.Error("the peer is not banned until then")
	}
}

func TestTable_KeepsBannedPeersWhenFull(t *testing.T) {
	table := NewTable(DefaultBudgets())
	table.Count(at(0), "banned", BadBatch, 10)
	table.Ban("banned", at(600_000))
	for i := range maxPeers + 100 {
		table.Count(at(1), fmt.Sprint("peer ", i), BadBatch, 1)
	}
	if len(table.peers) > maxPeers || !table.Banned(at(2), "banned") {
		t.Errorf("%d peers are remembered; banned is banned: %v", len(table.peers), table.Banned(at(2), "banned"))
	}
}
