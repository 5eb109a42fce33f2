// Package fanout passes items to subscribers. Each subscriber has a queue of its own, so
// that none waits for another. A subscription that does not keep up is ended.
package fanout

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"

	"github.com/p2p-today/go2p/internal/budget"
	"github.com/p2p-today/go2p/internal/notify"
)

// Limits of the queue of one subscriber.
const (
	MaxItems = 1024
	MaxBytes = 16 << 20
)

// Errors that end a subscription.
var (
	ErrLagged = errors.New("subscriber lagged behind and was ended")
	ErrClosed = errors.New("feed is closed")
)

// A Feed passes items to its subscribers. The zero value is ready for use. Its methods may
// be called concurrently.
type Feed[T any] struct {
	Size   func(T) int    // bytes of an item; nil to count items alone
	Budget *budget.Budget // of all queues together; nil for no limit but MaxBytes of each

	mu     sync.Mutex
	closed bool
	subs   []*subscriber[T]
}

type subscriber[T any] struct {
	want   func(T) bool
	ready  notify.Flag
	queue  []T           // Feed.mu
	memory *budget.Share // of the queue; nil when the subscription is over
	lagged bool          // Feed.mu
}

func (f *Feed[T]) size(item T) int {
	if f.Size == nil {
		return 0
	}
	return f.Size(item)
}

// Publish passes an item to the subscribers that want it. It does not wait.
func (f *Feed[T]) Publish(item T) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.subs {
		if s.lagged || !s.want(item) {
			continue
		}
		if len(s.queue) < MaxItems && s.memory.TryTake(f.size(item)) {
			s.queue = append(s.queue, item)
		} else {
			s.lagged, s.queue = true, nil
			s.memory.Give(s.memory.Held())
		}
		s.ready.Set()
	}
}

// Close ends all subscriptions with ErrClosed, after the items in their queues.
func (f *Feed[T]) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for _, s := range f.subs {
		s.ready.Set()
	}
}

// Follow yields the wanted items that are published from the call on. The last item comes
// with an error: the context's, ErrClosed, or ErrLagged if the queue was full. The sequence
// can be ranged over once.
func (f *Feed[T]) Follow(ctx context.Context, want func(T) bool) iter.Seq2[T, error] {
	s := &subscriber[T]{want: want, ready: notify.NewFlag(), memory: f.Budget.Share("subscriber", MaxBytes)}
	f.mu.Lock()
	f.subs = append(f.subs, s)
	f.mu.Unlock()
	forget := context.AfterFunc(ctx, func() { f.remove(s) }) // also if it is never ranged over
	return func(yield func(T, error) bool) {
		defer f.remove(s)
		defer forget()
		for {
			item, err := f.next(ctx, s)
			if !yield(item, err) || err != nil {
				return
			}
		}
	}
}

func (f *Feed[T]) remove(s *subscriber[T]) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s.memory.Give(s.memory.Held())
	s.memory = nil
	f.subs = slices.DeleteFunc(f.subs, func(o *subscriber[T]) bool { return o == s })
}

// next returns the oldest item in the queue of s, and waits for one.
func (f *Feed[T]) next(ctx context.Context, s *subscriber[T]) (item T, err error) {
	for {
		f.mu.Lock()
		if s.lagged {
			f.mu.Unlock()
			return item, ErrLagged
		}
		if len(s.queue) > 0 {
			item, s.queue[0] = s.queue[0], item
			s.queue = s.queue[1:]
			s.memory.Give(f.size(item))
			f.mu.Unlock()
			return item, nil
		}
		closed := f.closed
		f.mu.Unlock()
		if closed {
			return item, ErrClosed
		}
		select {
		case <-s.ready.C():
		case <-ctx.Done():
			return item, ctx.Err()
		}
	}
}
