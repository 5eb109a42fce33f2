// Package fanout passes what happens to subscribers, of which each has its own backlog,
// so that none waits for another. One that does not keep up is ended.
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

// Limits of what waits for one subscriber.
const (
	MaxItems = 1024
	MaxBytes = 16 << 20
)

// Errors that end a subscription.
var (
	ErrLagged = errors.New("subscriber lagged behind and was ended")
	ErrClosed = errors.New("feed is closed")
)

// A Feed passes items on. The zero value is ready for use, and its methods may be
// called concurrently.
type Feed[T any] struct {
	Size   func(T) int    // bytes that an item takes; nil if that does not matter
	Budget *budget.Budget // of all subscribers together; nil for MaxBytes of each alone

	mu     sync.Mutex
	closed bool
	subs   []*subscriber[T]
}

type subscriber[T any] struct {
	want   func(T) bool
	ready  notify.Flag
	queue  []T           // Feed.mu
	memory *budget.Share // what the queue holds; nil when the subscription is over
	lagged bool          // Feed.mu
}

func (f *Feed[T]) size(item T) int {
	if f.Size == nil {
		return 0
	}
	return f.Size(item)
}

// Publish gives an item to those subscribers that want it. It does not wait.
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

// Close ends all subscriptions with ErrClosed, when they have had what waits.
func (f *Feed[T]) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for _, s := range f.subs {
		s.ready.Set()
	}
}

// Follow yields the wanted items from the call on, until the context ends, the feed is
// closed, the subscriber lags or the loop is left; the error comes last. The sequence
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

// next returns the oldest item that s has not had, and waits for one.
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
