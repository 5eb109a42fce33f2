package mesh

import (
	"context"
	"slices"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/internal/notify"
)

const (
	inboxMessages = 4096
	inboxBytes    = 32 << 20
	inboxShare    = 4 // whispers of one author take at most this part of an inbox
)

// An inbox is what has arrived and waits for the handlers. It is bounded in
// messages and bytes: a whisper waits for room, so that its sender waits, too; a
// broadcast takes the room of older broadcasts, of the author who has most room, which
// are returned to be counted and reported. A whisper that was acknowledged is never
// dropped, and those of one author leave three quarters to others.
type inbox struct {
	mu         sync.Mutex
	queue      []Message
	used       usage
	whispers   map[peer.ID]usage
	broadcasts map[peer.ID]usage
	ready      notify.Flag      // something is in the queue
	dequeued   notify.Broadcast // something was taken
}

type usage struct{ messages, bytes int }

// fits tells whether a message of some size would still be within a part of an inbox.
func (u usage) fits(size, part int) bool {
	return u.messages == 0 || u.messages < inboxMessages/part && u.bytes+size <= inboxBytes/part
}

// share is how much of an inbox it is.
func (u usage) share() float64 {
	return max(float64(u.messages)/inboxMessages, float64(u.bytes)/inboxBytes)
}

func newInbox() *inbox {
	return &inbox{
		whispers: map[peer.ID]usage{}, broadcasts: map[peer.ID]usage{},
		ready: notify.NewFlag(),
	}
}

// account counts a message in, or out.
func (q *inbox) account(msg *Message, n int) {
	q.used.messages += n
	q.used.bytes += n * msg.size
	of := q.whispers
	if msg.Kind == Broadcast {
		of = q.broadcasts
	}
	u := of[msg.From]
	u.messages += n
	u.bytes += n * msg.size
	if u.messages == 0 {
		delete(of, msg.From)
	} else {
		of[msg.From] = u
	}
}

func (q *inbox) push(msg Message) {
	q.queue = append(q.queue, msg)
	q.account(&msg, 1)
	q.ready.Set()
}

// enqueue puts a whisper in when there is room for it.
func (q *inbox) enqueue(ctx context.Context, msg Message) error {
	return q.dequeued.Await(ctx, &q.mu, func() bool {
		fits := q.used.fits(msg.size, 1) && q.whispers[msg.From].fits(msg.size, inboxShare)
		if fits {
			q.push(msg)
		}
		return fits
	})
}

// awaitHalfFree waits until at most half of the inbox is in use.
func (q *inbox) awaitHalfFree(ctx context.Context) error {
	return q.dequeued.Await(ctx, &q.mu, func() bool { return q.used.share() <= 0.5 })
}

// tryEnqueue puts a broadcast in and returns those that were dropped for it, itself
// if only whispers are waiting.
func (q *inbox) tryEnqueue(msg Message) (dropped []Message) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.used.fits(msg.size, 1) {
		greedy := q.greediest()
		i := slices.IndexFunc(q.queue, func(m Message) bool { return m.Kind == Broadcast && m.From == greedy })
		if i < 0 {
			return append(dropped, msg)
		}
		dropped = append(dropped, q.queue[i])
		q.account(&q.queue[i], -1)
		q.queue = slices.Delete(q.queue, i, i+1)
	}
	q.push(msg)
	return dropped
}

// greediest returns the author whose broadcasts have most room, if there are any.
func (q *inbox) greediest() (author peer.ID) {
	for p, u := range q.broadcasts {
		if most := q.broadcasts[author]; author == "" || u.share() > most.share() || u.share() == most.share() && p < author {
			author = p
		}
	}
	return author
}

// dequeue returns the oldest message, and waits for one.
func (q *inbox) dequeue(ctx context.Context) (Message, error) {
	for {
		q.mu.Lock()
		if len(q.queue) > 0 {
			msg := q.queue[0]
			q.queue[0] = Message{}
			q.queue = q.queue[1:]
			q.account(&msg, -1)
			q.dequeued.Notify()
			q.mu.Unlock()
			return msg, nil
		}
		q.mu.Unlock()
		select {
		case <-q.ready.C():
		case <-ctx.Done():
			return Message{}, ctx.Err()
		}
	}
}
