package chord

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/p2p-today/go2p/internal/fanout"
)

// An EventKind says what happened.
type EventKind string

// The kinds of events.
const (
	EventJoined   EventKind = "chord-joined"   // this peer stores now
	EventLeft     EventKind = "chord-left"     // it does not store any more
	EventRefused  EventKind = "chord-refused"  // a peer's table has another k
	EventProgress EventKind = "chord-progress" // of a long task
)

// A Task takes long.
type Task string

// The tasks.
const (
	TaskFill     Task = "fill"      // getting what this peer has become a home for
	TaskHandOver Task = "hand-over" // giving away what it stores, to leave
)

const progressPause = 100 * time.Millisecond // between two reports, at least

// ErrLagged ends a subscriber that did not keep up with what happened.
var ErrLagged = fanout.ErrLagged

// An Event is something that happened to this peer's part in the table.
type Event struct {
	Kind        EventKind
	Time        time.Time // by this peer's clock
	Peer        string    // chord-refused: who
	Err         error     // chord-refused; chord-left, if that was not wanted
	Task        Task      // chord-progress
	Done, Total uint64    // chord-progress: keys so far, and those that are known of
	Over        bool      // chord-progress: it is done
}

func (t *Table) happen(ev Event) {
	ev.Time = time.Now()
	t.events.Publish(ev)
}

// Events yields what happens from the call on, until the context ends, the table is closed
// (the last error is then ErrClosed) or the loop is left. A loop that is more than 1024
// events behind ends with ErrLagged. The sequence can be ranged over once.
func (t *Table) Events(ctx context.Context) iter.Seq2[Event, error] {
	events := t.events.Follow(ctx, func(Event) bool { return true })
	return func(yield func(Event, error) bool) {
		for ev, err := range events {
			if errors.Is(err, fanout.ErrClosed) {
				err = ErrClosed
			}
			if !yield(ev, err) {
				return
			}
		}
	}
}
