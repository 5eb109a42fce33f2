package mesh

import (
	"context"
	"slices"
	"sync"
)

const (
	inboxMessages = 4096
	inboxBytes    = 32 << 20
)

// An inbox is what has arrived and waits for the handlers. It is bounded in
// messages and bytes: a whisper waits for room, so that its sender waits, too; a
// broadcast takes the room of older broadcasts, which are returned to be counted
// and reported. A whisper that was acknowledged is never dropped.
type inbox struct {
	mu    sync.Mutex
	queue []Message
	bytes int
	ready chan struct{} // room for one: something is in the queue
	taken chan struct{} // closed, and replaced, when something was taken
}

func newInbox() *inbox {
	return &inbox{ready: make(chan struct{}, 1), taken: make(chan struct{})}
}

func (q *inbox) fits(msg Message) bool {
	return len(q.queue) < inboxMessages && (len(q.queue) == 0 || q.bytes+msg.size <= inboxBytes)
}

func (q *inbox) push(msg Message) {
	q.queue = append(q.queue, msg)
	q.bytes += msg.size
	signal(q.ready)
}

// wait puts a whisper in when there is room for it.
func (q *inbox) wait(ctx context.Context, msg Message) error {
	for {
		q.mu.Lock()
		if q.fits(msg) {
			q.push(msg)
			q.mu.Unlock()
			return nil
		}
		taken := q.taken
		q.mu.Unlock()
		select {
		case <-taken:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// offer puts a broadcast in and returns those that were dropped for it, itself
// if only whispers are waiting.
func (q *inbox) offer(msg Message) (dropped []Message) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.fits(msg) {
		i := slices.IndexFunc(q.queue, func(m Message) bool { return m.Kind == Broadcast })
		if i < 0 {
			return append(dropped, msg)
		}
		dropped = append(dropped, q.queue[i])
		q.bytes -= q.queue[i].size
		q.queue = slices.Delete(q.queue, i, i+1)
	}
	q.push(msg)
	return dropped
}

// take returns the oldest message, and waits for one.
func (q *inbox) take(ctx context.Context) (Message, error) {
	for {
		q.mu.Lock()
		if len(q.queue) > 0 {
			msg := q.queue[0]
			q.queue[0] = Message{}
			q.queue = q.queue[1:]
			q.bytes -= msg.size
			close(q.taken)
			q.taken = make(chan struct{})
			q.mu.Unlock()
			return msg, nil
		}
		q.mu.Unlock()
		select {
		case <-q.ready:
		case <-ctx.Done():
			return Message{}, ctx.Err()
		}
	}
}
