package mesh

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/internal/fanout"
)

// An EventKind says what happened.
type EventKind string

// The kinds of events.
const (
	EventConnect    EventKind = "connect"    // the first neighbour is there
	EventDisconnect EventKind = "disconnect" // the last neighbour is gone
	EventPeerUp     EventKind = "peer-up"    // a neighbour is there
	EventPeerDown   EventKind = "peer-down"  // a neighbour is gone; Err says why
	EventRefused    EventKind = "refused"    // an explicit connection found no common network, at both ends
	EventMessage    EventKind = "message"    // a message that no handler took
	EventGap        EventKind = "gap"        // broadcasts were lost here; Gap says which
)

// An Event is something that happened to a mesh.
type Event struct {
	Kind    EventKind
	Time    time.Time // by this peer's clock
	Peer    peer.ID   // the neighbour, stranger or author it is about
	Err     error     // peer-down, disconnect, refused: why
	Message Message   // message
	Gap     Gap       // gap
}

// A Gap is a stretch of an author's broadcasts that this peer's handlers do not
// get: numbers First to Last of the author's run Boot.
type Gap struct {
	Author      peer.ID
	Boot        uint64
	First, Last uint64
}

// follow yields the events that are wanted, as Mesh.Events does.
func follow(ctx context.Context, feed *fanout.Feed[Event], want func(Event) bool) iter.Seq2[Event, error] {
	events := feed.Follow(ctx, want)
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
