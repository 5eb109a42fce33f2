package schedule

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
	begin := func() *Schedule { return New(start, rand.New(rand.NewPCG(1, 2))) }
	expect := func(l *Schedule, d time.Duration, want ...string) {
		t.Helper()
		if got := l.Advance(at(d)).Begin; !slices.Equal(got, want) {
			t.Errorf("at %v: %v, want %v", d, got, want)
		}
	}
	const ms = time.Millisecond

	l := begin() // who comes later asks at once
	l.Join(at(0), "a")
	if l.Deadline(at(0)) != at(0) {
		t.Error("the deadline is late")
	}
	expect(l, 0, "a")
	l.Done(at(10*ms), "a", InSync, nil)
	l.Join(at(5*time.Second), "b") // who has been there asks later
	expect(l, 5*time.Second)
	expect(l, 5*time.Second+strangers, "b")
	if l.InSync() != true || l.Refusal() != nil {
		t.Error("level with a, but not known to be")
	}

	l = begin() // with much to catch up, one after the other
	l.Join(at(0), "a")
	l.Join(at(0), "b")
	l.Join(at(0), "c")
	expect(l, 0, "a")
	l.Received(at(200 * ms))
	expect(l, 300*ms)
	expect(l, 450*ms, "b") // a is silent
	l.Done(at(460*ms), "a", Failed, errors.New("reset"))
	l.Done(at(460*ms), "b", InSync, nil)
	expect(l, 460*ms, "c")
	l.Done(at(470*ms), "c", Busy, nil)
	expect(l, 470*ms+bulkPause-1)
	expect(l, 470*ms+2*bulkPause, "c")
	l.Done(at(time.Second), "c", InSync, nil)
	expect(l, 460*ms+firstPause*3/2, "a")
	for range 10 {
		l.Done(at(2*time.Second), "a", Failed, errors.New("reset"))
		l.running++
	}
	if pause := l.peers["a"].due.Sub(at(2 * time.Second)); pause > lastPause*3/2 {
		t.Errorf("after many failures a pause of %v", pause)
	}

	l = begin() // news
	l.Join(at(0), "a")
	l.Join(at(0), "b")
	for _, p := range l.Advance(at(0)).Begin {
		l.Done(at(0), p, InSync, nil)
	}
	for _, p := range l.Advance(at(0)).Begin {
		l.Done(at(0), p, InSync, nil)
	}
	l.News(at(2*time.Second), "a")
	expect(l, 2*time.Second)
	expect(l, 2*time.Second+spreadPause, "b")
	l.Done(at(2200*ms), "b", InSync, nil)
	l.News(at(2300*ms), "a") // not sooner than a second after the last
	expect(l, 2900*ms)
	expect(l, 3100*ms, "b")
	l.Done(at(3100*ms), "b", InSync, nil)
	l.Gap(at(4*time.Second), "a")
	expect(l, 4*time.Second+gapPause, "a")
	l.Done(at(4300*ms), "a", InSync, nil)
	if !l.Changed(at(5*time.Second)) || l.Changed(at(5500*ms)) {
		t.Error("the first change makes the deadline sooner, the next does not")
	}
	expect(l, 6400*ms)
	if got := l.Advance(at(6500 * ms)).Begin; len(got) != 1 {
		t.Errorf("when it is quiet again: %v", got)
	}

	l = begin() // refused
	l.Join(at(0), "a")
	expect(l, 0, "a")
	why := errors.New("other leases")
	l.Done(at(0), "a", Refused, why)
	l.News(at(time.Second), "b")
	expect(l, 10*time.Second)
	if !errors.Is(l.Refusal(), why) || l.InSync() {
		t.Error("all have refused, but that is not known")
	}
	l.Join(at(20*time.Second), "b")
	if l.Refusal() != nil {
		t.Error("one has not refused")
	}
	l.Leave("b")
	if len(l.Advance(at(time.Minute)).Begin) != 1 {
		t.Error("not asked again in the long run")
	}

	l = begin() // behind a relay
	l.Join(at(0), "a")
	expect(l, 0, "a")
	l.Done(at(0), "a", InSync, nil)
	l.peers["a"].relayed = true
	if !l.Changed(at(3 * time.Second)) {
		t.Error("the deadline is sooner")
	}
	expect(l, 3*time.Second+spreadPause, "a")
}
