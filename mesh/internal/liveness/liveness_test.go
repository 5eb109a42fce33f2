package liveness

import (
	"strings"
	"testing"
	"time"
)

// at is a moment of a story, in milliseconds from its start.
func at(ms int) time.Time { return time.UnixMilli(int64(ms)) }

func TestTracker_GivesUpAfterThreeMisses(t *testing.T) {
	type step struct {
		now, heard int
		ping, lost bool
		deadline   int
	}
	few, many := Patience(8), Patience(50)
	if few != 2*time.Second || many != 12500*time.Millisecond {
		t.Fatalf("patience with 8 neighbours is %v, with 50 it is %v", few, many)
	}
	for name, story := range map[string][]step{
		"a silent member is lost with the third miss": {
			{0, 0, true, false, 2000},
			{2000, 0, true, false, 4000},
			{4000, 0, true, false, 6000},
			{6000, 0, false, true, 6000},
		},
		"a talkative member is never pinged again": {
			{0, 0, true, false, 2000},
			{2000, 1500, false, false, 3500},
			{3500, 3400, false, false, 5400},
		},
		"an answer forgives the misses": {
			{0, 0, true, false, 2000},
			{2000, 0, true, false, 4000},
			{4000, 0, true, false, 6000},
			{6000, 5000, false, false, 7000},
			{7000, 5000, true, false, 9000},
			{9000, 5000, true, false, 11000},
			{11000, 5000, true, false, 13000},
			{13000, 5000, false, true, 13000},
		},
		"one of many is waited for longer, but not when it has missed a ping": {
			{0, 0, true, false, 2000},
			{2000, 500, false, false, 13000},
			{13000, 500, true, false, 15000},
			{15000, 500, true, false, 17000},
			{17000, 500, true, false, 19000},
			{19000, 500, false, true, 19000},
		},
	} {
		var l Tracker
		patience := few
		if strings.HasPrefix(name, "one of many") {
			patience = many
		}
		for i, s := range story {
			got := l.Advance(at(s.now), at(s.heard), patience)
			if got.Ping != s.ping || got.Lost != s.lost {
				t.Errorf("%s: step %d: %+v", name, i, got)
			}
			if d := l.Deadline(at(s.heard), patience); !got.Lost && !d.Equal(at(s.deadline)) {
				t.Errorf("%s: step %d: deadline %v, want %v", name, i, d, at(s.deadline))
			}
		}
	}
}
