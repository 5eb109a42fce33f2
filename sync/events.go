package sync

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
	EventLost    EventKind = "lease-lost"     // this peer has lost a key to another owner, or it is gone
	EventTaken   EventKind = "lease-taken"    // a key went to another owner while its lease still ran here
	EventRefused EventKind = "sync-refused"   // a neighbour's dictionary has other leases
	EventClash   EventKind = "identity-clash" // another copy of this peer has written
	EventFull    EventKind = "full"           // there was no room for records of others
)

// An Event is something that happened to a dictionary, apart from the changes that Watch
// yields.
type Event struct {
	Kind  EventKind
	Time  time.Time     // by this peer's clock
	Key   string        // lease-lost, lease-taken
	Owner string        // lease-lost, lease-taken: the owner now; "" for none
	From  string        // lease-taken: the owner before
	For   time.Duration // lease-lost, lease-taken: how long the lease would still have run here
	Peer  string        // sync-refused: the neighbour
	Err   error         // sync-refused, identity-clash, full
}

// An eventFeed passes events on to all that follow it. It has a lock of its own.
type eventFeed struct{ fanout.Feed[Event] }

func (f *eventFeed) emit(ev Event) {
	ev.Time = time.Now()
	f.Publish(ev)
}

// follow yields what happens from the call on.
func (f *eventFeed) follow(ctx context.Context) iter.Seq2[Event, error] {
	events := f.Follow(ctx, func(Event) bool { return true })
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
