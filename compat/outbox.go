package compat

import (
	"context"
	"slices"
	"sync"

	"github.com/p2p-today/go2p/compat/internal/legacy"
	"github.com/p2p-today/go2p/internal/notify"
)

const (
	maxQueue      = 8192    // frames that wait for a node
	maxQueueBytes = 8 << 20 // of them; more of either end the connection
)

// An outbox holds the frames that wait to be written to a node, how many questions the node has yet to answer, and why
// the connection ends. Its lock guards all of it. The engine puts frames in, and the writer takes them out.
type outbox struct {
	more  notify.Flag      // there is something to write, or the connection ends
	heard notify.Flag      // the node has answered, or the connection ends
	room  notify.Broadcast // the outbox may not be crowded any more

	mu      sync.Mutex
	window  legacy.Window
	queue   []legacy.Frame
	bytes   int
	answers int // in the queue
	why     error
}

func newOutbox() *outbox { return &outbox{more: notify.NewFlag(), heard: notify.NewFlag()} }

// put queues a frame. It reports whether there was room.
func (o *outbox) put(f legacy.Frame) bool {
	o.mu.Lock()
	full := len(o.queue) >= maxQueue || len(o.queue) > 0 && o.bytes+len(f.Body) > maxQueueBytes
	if !full {
		o.queue = append(o.queue, f)
		o.bytes += len(f.Body)
		if f.Answer {
			o.answers++
		}
	}
	o.mu.Unlock()
	if !full {
		o.signal()
	}
	return !full
}

// take returns the next frame, if there is one, and whether the connection ends.
func (o *outbox) take() (f legacy.Frame, over bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.queue) > 0 {
		f = o.dequeue(0)
	}
	return f, o.why != nil
}

// takeAnswer returns an answer that the node may wait for, if there is one. It returns true instead if the node has at
// most but questions to answer, or the connection ends.
func (o *outbox) takeAnswer(but int) (f legacy.Frame, enough bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if enough = o.window.Asked() <= but || o.why != nil; enough || o.answers == 0 {
		return f, enough
	}
	f = o.dequeue(slices.IndexFunc(o.queue, func(f legacy.Frame) bool { return f.Answer }))
	o.window.Wrote(4 + len(f.Body))
	return f, false
}

// dequeue removes frame i. The caller holds mu.
func (o *outbox) dequeue(i int) legacy.Frame {
	f, crowded := o.queue[i], o.crowded()
	copy(o.queue[1:i+1], o.queue[:i])
	o.queue[0] = legacy.Frame{}
	o.queue = o.queue[1:]
	o.bytes -= len(f.Body)
	if f.Answer {
		o.answers--
	}
	if crowded && !o.crowded() {
		o.room.Notify()
	}
	return f
}

// crowded reports whether senders that can wait should do so. The caller holds mu.
func (o *outbox) crowded() bool {
	return o.why == nil && (len(o.queue) > maxQueue/2 || o.bytes > maxQueueBytes/2)
}

// awaitRoom waits until the outbox is not crowded. Error: the context's.
func (o *outbox) awaitRoom(ctx context.Context) error {
	return o.room.Await(ctx, &o.mu, func() bool { return !o.crowded() })
}

// wrote notes that a frame was written, and reports whether to ask the node.
func (o *outbox) wrote(size int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.window.Wrote(size)
}

// ask notes that the node is asked.
func (o *outbox) ask() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.window.Ask()
}

// answered notes that the node has read what it was sent before it was asked.
func (o *outbox) answered() {
	o.mu.Lock()
	o.window.Answered()
	o.mu.Unlock()
	o.signal()
}

// giveUp expects no more answers to what was asked.
func (o *outbox) giveUp() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.window.GiveUp()
}

// unasked reports whether frames were written since the node was last asked.
func (o *outbox) unasked() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.window.Wants()
}

// discard drops all frames.
func (o *outbox) discard() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.queue, o.bytes, o.answers = nil, 0, 0
}

// end notes why the connection ends. It reports false if the connection ends already.
func (o *outbox) end(why error) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	news := o.why == nil
	if news {
		o.why = why
		o.room.Notify()
	}
	return news
}

// reason returns why the connection ends, or nil.
func (o *outbox) reason() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.why
}

// signal wakes the writer.
func (o *outbox) signal() {
	o.more.Set()
	o.heard.Set()
}
