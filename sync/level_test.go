package sync

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestWhenToCompare(t *testing.T) {
	start := time.Unix(0, 0)
	at := func(d time.Duration) time.Time { return start.Add(d) }
	begin := func() *levels { return newLevels(start, rand.New(rand.NewPCG(1, 2))) }
	expect := func(l *levels, d time.Duration, want ...string) {
		t.Helper()
		if got := l.advance(at(d)).begin; !slices.Equal(got, want) {
			t.Errorf("at %v: %v, want %v", d, got, want)
		}
	}
	const ms = time.Millisecond

	l := begin() // who comes later asks at once
	l.join(at(0), "a")
	if l.deadline(at(0)) != at(0) {
		t.Error("the deadline is late")
	}
	expect(l, 0, "a")
	l.done(at(10*ms), "a", levelled, nil)
	l.join(at(5*time.Second), "b") // who has been there asks later
	expect(l, 5*time.Second)
	expect(l, 5*time.Second+strangers, "b")
	if l.level() != true || l.alone() != nil {
		t.Error("level with a, but not known to be")
	}

	l = begin() // with much to catch up, one after the other
	l.join(at(0), "a")
	l.join(at(0), "b")
	l.join(at(0), "c")
	expect(l, 0, "a")
	l.receive(at(200 * ms))
	expect(l, 300*ms)
	expect(l, 450*ms, "b") // a is silent
	l.done(at(460*ms), "a", failed, errors.New("reset"))
	l.done(at(460*ms), "b", levelled, nil)
	expect(l, 460*ms, "c")
	l.done(at(470*ms), "c", waits, nil)
	expect(l, 470*ms+bulkPause-1)
	expect(l, 470*ms+2*bulkPause, "c")
	l.done(at(time.Second), "c", levelled, nil)
	expect(l, 460*ms+firstPause*3/2, "a")
	for range 10 {
		l.done(at(2*time.Second), "a", failed, errors.New("reset"))
		l.running++
	}
	if pause := l.peers["a"].due.Sub(at(2 * time.Second)); pause > lastPause*3/2 {
		t.Errorf("after many failures a pause of %v", pause)
	}

	l = begin() // news
	l.join(at(0), "a")
	l.join(at(0), "b")
	for _, p := range l.advance(at(0)).begin {
		l.done(at(0), p, levelled, nil)
	}
	for _, p := range l.advance(at(0)).begin {
		l.done(at(0), p, levelled, nil)
	}
	l.spread(at(2*time.Second), "a")
	expect(l, 2*time.Second)
	expect(l, 2*time.Second+spreadPause, "b")
	l.done(at(2200*ms), "b", levelled, nil)
	l.spread(at(2300*ms), "a") // not sooner than a second after the last
	expect(l, 2900*ms)
	expect(l, 3100*ms, "b")
	l.done(at(3100*ms), "b", levelled, nil)
	l.gap(at(4*time.Second), "a")
	expect(l, 4*time.Second+gapPause, "a")
	l.done(at(4300*ms), "a", levelled, nil)
	if !l.change(at(5*time.Second)) || l.change(at(5500*ms)) {
		t.Error("the first change makes the deadline sooner, the next does not")
	}
	expect(l, 6400*ms)
	if got := l.advance(at(6500 * ms)).begin; len(got) != 1 {
		t.Errorf("when it is quiet again: %v", got)
	}

	l = begin() // refused
	l.join(at(0), "a")
	expect(l, 0, "a")
	why := errors.New("other leases")
	l.done(at(0), "a", refused, why)
	l.spread(at(time.Second), "b")
	expect(l, 10*time.Second)
	if !errors.Is(l.alone(), why) || l.level() {
		t.Error("all have refused, but that is not known")
	}
	l.join(at(20*time.Second), "b")
	if l.alone() != nil {
		t.Error("one has not refused")
	}
	l.leave("b")
	if len(l.advance(at(time.Minute)).begin) != 1 {
		t.Error("not asked again in the long run")
	}

	l = begin() // behind a relay
	l.join(at(0), "a")
	expect(l, 0, "a")
	l.done(at(0), "a", levelled, nil)
	l.peers["a"].relayed = true
	if !l.change(at(3 * time.Second)) {
		t.Error("the deadline is sooner")
	}
	expect(l, 3*time.Second+spreadPause, "a")
}
