package sync

import (
	"context"
	"sync"

	"github.com/p2p-today/go2p/internal/notify"
	"github.com/p2p-today/go2p/sync/internal/replica"
)

// maxQueued is the most bytes of writes that wait; a further write waits for room.
const maxQueued = 2 * MaxUpdate

// A write waits to be decided.
type write struct {
	replica.Update
	bytes int
	acks  int // members that are to have it
	done  chan struct{}
}

// A WriteOption changes what a write does.
type WriteOption func(*write)

// A writeQueue lets writes that wait together be committed together. A write that finds
// nobody at work is committed at once, by its own goroutine. The lock guards what waits,
// and is not held during a commit; at most one commit runs at a time.
type writeQueue struct {
	commit func([]*write)

	mu         sync.Mutex
	closed     bool
	waiting    []*write
	bytes      int
	committing bool
	rounds     notify.Broadcast // a round is over
}

// submit has a write committed. After the context's error it may still happen.
func (q *writeQueue) submit(ctx context.Context, w *write) error {
	w.done = make(chan struct{})
	q.mu.Lock()
	for !q.closed && len(q.waiting) > 0 && q.bytes+w.bytes > maxQueued {
		if !q.awaitRound(ctx) {
			q.mu.Unlock()
			return ctx.Err()
		}
	}
	if q.closed {
		q.mu.Unlock()
		return ErrClosed
	}
	q.waiting = append(q.waiting, w)
	q.bytes += w.bytes
	if q.committing {
		q.mu.Unlock()
		select {
		case <-w.done:
			return w.Err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	q.committing = true
	if q.round() {
		go func() {
			q.mu.Lock()
			defer q.mu.Unlock()
			for q.round() {
			}
		}()
	}
	q.mu.Unlock()
	return w.Err
}

// round commits what waits, and reports whether there is more. The caller holds the lock,
// which is released meanwhile.
func (q *writeQueue) round() (more bool) {
	writes := q.waiting
	q.waiting, q.bytes = nil, 0
	q.mu.Unlock()
	q.commit(writes)
	for _, w := range writes {
		close(w.done)
	}
	q.mu.Lock()
	q.committing = len(q.waiting) > 0
	q.rounds.Notify()
	return q.committing
}

// awaitRound waits, with the lock released, for the end of a round. It reports false if
// the context ends before.
func (q *writeQueue) awaitRound(ctx context.Context) bool {
	over := q.rounds.C()
	q.mu.Unlock()
	defer q.mu.Lock()
	select {
	case <-over:
		return true
	case <-ctx.Done():
		return false
	}
}

// close refuses further writes, and waits for those that were submitted.
func (q *writeQueue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	for q.committing {
		q.awaitRound(context.Background())
	}
}
