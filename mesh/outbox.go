package mesh

import (
	"context"
	"sync"
	"time"

	"github.com/p2p-today/go2p/mesh/internal/batch"
)

const (
	outboxMessages = 4096
	outboxBytes    = 8 << 20
	flushTime      = 2 * time.Second // how long Close waits for the neighbours to have all
)

// An outbox is what waits to be signed and published. Messages that come while an
// earlier one is being so go out together, under one signature; when idle none waits,
// and who broadcasts publishes by itself. It is bounded in messages and bytes: who
// broadcasts waits for room.
type outbox struct {
	mu      sync.Mutex
	seq     uint64 // of the last message put in
	queue   []batch.Message
	bytes   int
	sending bool // somebody publishes what is in the queue
	closed  bool
	handed  chan struct{} // room for one: the publisher is to go on
	emptied chan struct{} // closed, and replaced, when something was taken or all is published
}

func newOutbox() *outbox {
	return &outbox{handed: make(chan struct{}, 1), emptied: make(chan struct{})}
}

// put appends a message when there is room for it and returns its number. If nobody
// is sending the caller is to publish one batch.
func (o *outbox) put(ctx context.Context, msg batch.Message) (seq uint64, send bool, err error) {
	closed := false
	err = o.wait(ctx, func() bool {
		if closed = o.closed; closed {
			return true
		}
		if len(o.queue) >= outboxMessages || len(o.queue) > 0 && o.bytes+len(msg.Packets) > outboxBytes {
			return false
		}
		o.seq++
		seq = o.seq
		o.queue = append(o.queue, msg)
		o.bytes += len(msg.Packets)
		send = !o.sending
		o.sending = true
		return true
	})
	if closed {
		return 0, false, ErrClosed
	}
	return seq, send, err
}

// flush takes no more messages, and waits until all that were taken are published.
// It returns the number of the last.
func (o *outbox) flush(ctx context.Context) (last uint64, err error) {
	err = o.wait(ctx, func() bool {
		o.closed, last = true, o.seq
		return len(o.queue) == 0 && !o.sending
	})
	return last, err
}

// wait calls done, with the lock held, until it says so.
func (o *outbox) wait(ctx context.Context, done func() bool) error {
	for {
		o.mu.Lock()
		if done() {
			o.mu.Unlock()
			return nil
		}
		emptied := o.emptied
		o.mu.Unlock()
		select {
		case <-emptied:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// next returns the messages for the next batch and the number of the first. With
// none left, sending ends.
func (o *outbox) next() (first uint64, messages []batch.Message) {
	o.mu.Lock()
	defer o.mu.Unlock()
	first = o.seq - uint64(len(o.queue)) + 1
	n, size := 0, 0
	for n < len(o.queue) && n < batch.MaxMessages {
		if size += len(o.queue[n].Packets); n > 0 && size > MaxMessage {
			break
		}
		n++
	}
	messages = append(messages, o.queue[:n]...)
	for i := range messages {
		o.bytes -= len(messages[i].Packets)
		o.queue[i] = batch.Message{}
	}
	o.queue = o.queue[n:]
	o.sending = n > 0
	close(o.emptied)
	o.emptied = make(chan struct{})
	return first, messages
}

// publishOne publishes one batch, and leaves the rest to the publisher: who
// broadcasts does not work for others for long.
func (m *Mesh) publishOne() {
	first, messages := m.outbox.next()
	m.publishBatch(first, messages)
	signal(m.outbox.handed)
}

// publish goes on where somebody who broadcasts leaves off, until the mesh is
// closed.
func (m *Mesh) publish() {
	for {
		select {
		case <-m.ctx.Done():
			return
		case <-m.outbox.handed:
		}
		for {
			first, messages := m.outbox.next()
			if len(messages) == 0 {
				break
			}
			m.publishBatch(first, messages)
		}
	}
}

func (m *Mesh) publishBatch(first uint64, messages []batch.Message) {
	sealed, err := m.seal(first, messages)
	if err == nil {
		m.recordOwn(first, len(messages), sealed)
		err = m.forward(sealed, 0, m.id)
	}
	if err != nil && m.ctx.Err() == nil {
		m.log.Error("cannot publish", "err", err)
	}
}
