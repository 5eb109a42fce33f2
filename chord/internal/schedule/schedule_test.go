package schedule

import (
	"testing"
	"time"

	"github.com/p2p-today/go2p/chord/internal/ring"
)

var start = time.Unix(1e9, 0)

// A clock drives the schedule of a node that has founded a ring.
type clock struct {
	*Schedule
	now  time.Time
	ring *ring.Ring
}

func founded() *clock {
	r := ring.New(8, "self")
	c := &clock{Schedule: New(r), now: start, ring: r}
	e := r.Found(start, 100, 1)
	c.Joined(start, ring.Circle(8).Everything())
	c.Took(start, e)
	return c
}

// next lets the time of the next thing to do come.
func (c *clock) next() Effects {
	if d := c.Deadline(); d.After(c.now) {
		c.now = d
	}
	return c.Advance(c.now)
}

// until returns how long it takes until something is due.
func (c *clock) until(t *testing.T, what func(Effects) bool) time.Duration {
	t.Helper()
	began := c.now
	for c.now.Sub(began) < time.Hour {
		e := c.next()
		if e.HandOff {
			c.HandedOff(c.now)
		}
		if what(e) {
			return c.now.Sub(began)
		}
	}
	t.Fatal("it is not due within an hour")
	return 0
}

func backfill(e Effects) bool { return e.Backfill }

// meet has the node meet another one, which lists it alone.
func (c *clock) meet(slot ring.Slot, peer string, ringID uint64, age time.Duration) {
	v := ring.View{Self: ring.Node{Slot: slot, Peer: peer}, Stores: true, Ring: ringID, Age: age}
	c.Took(c.now, c.ring.Meet(c.now, v))
}

// settled has the node backfill once.
func (c *clock) settled(t *testing.T) {
	t.Helper()
	c.until(t, backfill)
	c.Done(c.Begin())
	c.Backfilled(c.now, false)
	if !c.Settled() {
		t.Fatal("a backfill is due at once")
	}
}

func TestSchedule_CalmRingIsStabilizedLessOften(t *testing.T) {
	c := founded()
	c.settled(t)
	c.meet(200, "other", 1, 0)
	round := func(e Effects) bool { return len(e.Greet) > 0 }
	c.until(t, round)
	var pauses []time.Duration
	for range 2 * calmRounds {
		pauses = append(pauses, c.until(t, round))
	}
	if first, last := pauses[0], pauses[len(pauses)-1]; first != roundPause || last != calmRounds*roundPause {
		t.Errorf("rounds after %v", pauses)
	}
	c.meet(50, "third", 1, 0)
	c.until(t, round) // it greets because of what it has heard
	c.until(t, round) // the round that was due anyway
	if pause := c.until(t, round); pause != roundPause {
		t.Errorf("a round after %v when the ring has changed", pause)
	}
}

func TestSchedule_LossIsFilledAfterAPause(t *testing.T) {
	c := founded()
	c.settled(t)
	c.meet(200, "other", 1, 0)
	c.now = c.now.Add(time.Minute)
	c.Took(c.now, c.ring.Lose(c.now, "other"))
	if !c.Lacking() {
		t.Fatal("nothing is missing, and a predecessor is lost")
	}
	if pause := c.until(t, backfill); pause != lossPause {
		t.Errorf("a backfill after %v", pause)
	}
}

func TestSchedule_FailedBackfillIsRepeated(t *testing.T) {
	c := founded()
	c.until(t, backfill)
	c.Backfilled(c.now, true)
	if pause := c.until(t, backfill); pause != lossPause {
		t.Errorf("it is repeated after %v", pause)
	}
}

func TestSchedule_OneBackfillAtATime(t *testing.T) {
	c := founded()
	c.until(t, backfill)
	c.Took(c.now, ring.Effects{Merged: true, Yielded: true})
	for range 100 {
		if c.next().Backfill {
			t.Fatal("a second backfill begins while one is going on")
		}
	}
	c.Backfilled(c.now, false)
	c.until(t, backfill)
}

func TestSchedule_MergedRingsAreComparedUntilTheySettle(t *testing.T) {
	c := founded()
	c.settled(t)
	c.meet(200, "older", 2, time.Hour)
	if c.complete != (ring.Reach{}) {
		t.Error("it is complete after its ring has yielded to an older one")
	}
	rounds := 0
	for end := c.now.Add(5 * time.Minute); c.now.Before(end); {
		e := c.next()
		if e.HandOff {
			c.HandedOff(c.now)
		}
		if e.Backfill {
			rounds++
			b := c.Begin()
			if b.Have != (ring.Reach{}) {
				t.Error("a backfill leaves out what is complete")
			}
			c.Done(b)
			c.Backfilled(c.now, false)
		}
	}
	if rounds < 2 || !c.Settled() {
		t.Errorf("%d backfills; settled is %v", rounds, c.Settled())
	}
}

func TestSchedule_LosingTheSlotIsTold(t *testing.T) {
	c := founded()
	c.settled(t)
	c.meet(100, "a", 1, 0) // a lower peer ID in the same slot
	if !c.next().Rejoin || c.next().Rejoin {
		t.Error("it should be told once to join again")
	}
}

func TestSchedule_NodeWithoutSlotOnlyAnnounces(t *testing.T) {
	c := &clock{ring: ring.New(8, "self"), now: start}
	c.Schedule = New(c.ring)
	for range 10 {
		e := c.next()
		if !e.Announce || e.Backfill || e.HandOff || len(e.Greet) > 0 {
			t.Errorf("%+v is due", e)
		}
	}
}
