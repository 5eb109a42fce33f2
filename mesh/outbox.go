package mesh

import (
	"context"
	"sync"
	"time"

	"github.com/p2p-today/go2p/internal/notify"
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
	handed  notify.Flag      // the publisher is to go on
	emptied notify.Broadcast // something was taken, or all is published
}

func newOutbox() *outbox {
	return &outbox{handed: notify.NewFlag()}
}

// put appends a message when there is room for it and returns its number. If nobody
// is sending the caller is to publish one batch.
func (o *outbox) put(ctx context.Context, msg batch.Message) (seq uint64, send bool, err error) {
	closed := false
	err = o.emptied.Await(ctx, &o.mu, func() bool {
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
	err = o.emptied.Await(ctx, &o.mu, func() bool {
		o.closed, last = true, o.seq
		return len(o.queue) == 0 && !o.sending
	})
	return last, err
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
	o.emptied.Notify()
	return first, messages
}
