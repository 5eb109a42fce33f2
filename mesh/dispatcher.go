package mesh

import (
	"context"
	"slices"
	"sync"
	"time"
)

// A Handler is an entry in a mesh's chain of handlers.
type Handler struct {
	dispatcher *dispatcher
	handle     func(context.Context, Message) bool
}

// A dispatcher owns what has arrived, the chain of handlers and the observers. Its loop
// gives them one message after the other; its mutex guards the two lists, which are
// replaced and never changed.
type dispatcher struct {
	*local
	inbox *inbox

	mu        sync.Mutex
	chain     []*Handler
	observers []*Handler
}

func newDispatcher(l *local, first func(context.Context, Message) bool) *dispatcher {
	d := &dispatcher{local: l, inbox: newInbox()}
	if first != nil {
		d.chain = []*Handler{{dispatcher: d, handle: first}}
	}
	return d
}

// handle adds a function to the end of the chain.
func (d *dispatcher) handle(f func(context.Context, Message) (taken bool)) *Handler {
	h := &Handler{dispatcher: d, handle: f}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.chain = with(d.chain, h)
	return h
}

// Remove takes the handler out of the chain. A call that runs may still end later.
func (h *Handler) Remove() {
	h.dispatcher.mu.Lock()
	defer h.dispatcher.mu.Unlock()
	h.dispatcher.chain = without(h.dispatcher.chain, h)
}

// observe has a function see each broadcast once, until end is called.
func (d *dispatcher) observe(f func(Message)) (end func()) {
	h := &Handler{dispatcher: d, handle: func(_ context.Context, msg Message) bool {
		f(msg)
		return false
	}}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.observers = with(d.observers, h)
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.observers = without(d.observers, h)
	}
}

func with(list []*Handler, h *Handler) []*Handler { return append(slices.Clone(list), h) }

func without(list []*Handler, h *Handler) []*Handler {
	return slices.DeleteFunc(slices.Clone(list), func(o *Handler) bool { return o == h })
}

// run gives what arrives to the handlers, until the mesh ends.
func (d *dispatcher) run() {
	for {
		msg, err := d.inbox.dequeue(d.ctx())
		if err != nil {
			return
		}
		d.stats.received(msg)
		if msg.Kind == Broadcast {
			d.show(msg)
		}
		if !d.taken(msg) {
			d.events.Publish(Event{Kind: EventMessage, Peer: msg.From, Time: time.Now(), Message: msg})
		}
	}
}

// taken reports whether a handler has taken a message.
func (d *dispatcher) taken(msg Message) bool {
	d.mu.Lock()
	chain := d.chain
	d.mu.Unlock()
	for _, h := range chain {
		if h.handle(d.ctx(), msg) {
			return true
		}
	}
	return false
}

// observed reports whether there are observers.
func (d *dispatcher) observed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.observers) > 0
}

// show shows a broadcast to the observers.
func (d *dispatcher) show(msg Message) {
	d.mu.Lock()
	observers := d.observers
	d.mu.Unlock()
	for _, h := range observers {
		h.handle(d.ctx(), msg)
	}
}

// enqueue puts a broadcast in the inbox. The broadcasts that it crowds out are reported.
func (d *dispatcher) enqueue(msg Message) {
	for _, dropped := range d.inbox.tryEnqueue(msg) {
		d.drop(dropped)
	}
}

// drop reports a broadcast that does not get to the handlers.
func (d *dispatcher) drop(msg Message) {
	d.stats.droppedBroadcasts.Add(1)
	d.events.Publish(Event{
		Kind: EventGap, Peer: msg.From, Time: time.Now(),
		Gap: Gap{Author: msg.From, Boot: msg.boot, First: msg.seq, Last: msg.seq},
	})
}
