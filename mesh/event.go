package mesh

import (
	"context"
	"errors"
	"iter"
	"slices"
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

// Events yields what happens from the call on, until the context ends, the mesh
// is closed (the last error is then ErrClosed) or the loop is left. A loop that is
// more than 1024 events or 16 MiB of messages behind ends with ErrLagged. The
// sequence can be ranged over once.
func (m *Mesh) Events(ctx context.Context) iter.Seq2[Event, error] {
	return m.follow(ctx, func(Event) bool { return true })
}

// Messages yields the messages from the call on that no handler takes, in the way
// of Events.
func (m *Mesh) Messages(ctx context.Context) iter.Seq2[Message, error] {
	events := m.follow(ctx, func(ev Event) bool { return ev.Kind == EventMessage })
	return func(yield func(Message, error) bool) {
		for ev, err := range events {
			if !yield(ev.Message, err) {
				return
			}
		}
	}
}

func (m *Mesh) follow(ctx context.Context, want func(Event) bool) iter.Seq2[Event, error] {
	events := m.events.Follow(ctx, want)
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

// A Handler is an entry in a mesh's chain of handlers.
type Handler struct {
	mesh   *Mesh
	handle func(context.Context, Message) bool
}

// Handle adds a function to the end of the chain of handlers. Each message is
// given to one handler after the other until one returns true; what none takes
// goes to Messages and Events. Handlers run one message at a time, in the order of
// arrival; meanwhile others wait, as Whisper says. The context ends with Close.
func (m *Mesh) Handle(f func(context.Context, Message) (taken bool)) *Handler {
	h := &Handler{m, f}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.chain = with(m.chain, h)
	return h
}

func with(list []*Handler, h *Handler) []*Handler { return append(slices.Clone(list), h) }

func without(list []*Handler, h *Handler) []*Handler {
	return slices.DeleteFunc(slices.Clone(list), func(o *Handler) bool { return o == h })
}

// Remove takes the handler out of the chain. A call that runs may still end later.
func (h *Handler) Remove() {
	h.mesh.mu.Lock()
	defer h.mesh.mu.Unlock()
	h.mesh.chain = without(h.mesh.chain, h)
}

// dispatch gives what arrives to the handlers.
func (m *Mesh) dispatch() {
	for {
		msg, err := m.inbox.dequeue(m.ctx)
		if err != nil {
			return
		}
		m.stats.received(msg)
		if msg.Kind == Broadcast {
			for _, h := range m.observing() {
				h.handle(m.ctx, msg)
			}
		}
		if !m.taken(msg) {
			m.events.Publish(Event{Kind: EventMessage, Peer: msg.From, Time: time.Now(), Message: msg})
		}
	}
}

func (m *Mesh) taken(msg Message) bool {
	m.mu.Lock()
	chain := m.chain
	m.mu.Unlock()
	for _, h := range chain {
		if h.handle(m.ctx, msg) {
			return true
		}
	}
	return false
}
