// Package notify has two signals between goroutines. A [Broadcast] wakes all goroutines that
// wait for a change of some state. A [Flag] wakes the one loop that has work.
//
// Unlike sync.Cond, both can be waited for in a select, beside a context.
package notify

import (
	"context"
	"sync"
)

// A Broadcast wakes all goroutines that wait for a change of its owner's state. The owner
// guards the state with a lock of its own, which may be held or not when the methods are
// called. The methods may be called concurrently.
//
// The zero value is ready for use. A Broadcast must not be copied after its first use.
// Notify allocates nothing if no goroutine waits.
type Broadcast struct {
	mu sync.Mutex
	c  chan struct{} // closed by the next Notify; nil until C is called
}

// C returns a channel that the next Notify closes. A waiter calls C before it reads the
// state, or with the owner's lock held. Then it misses no change.
func (b *Broadcast) C() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.c == nil {
		b.c = make(chan struct{})
	}
	return b.c
}

// Notify wakes all waiters. The owner calls it after a change of the state, before or after
// it releases its lock.
func (b *Broadcast) Notify() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.c != nil {
		close(b.c)
		b.c = nil
	}
}

// Await calls done with the owner's lock held, and again after each Notify, until done
// reports true. The lock is released while Await waits and when it returns. The error is
// the context's. If done reports true at once, Await ignores the context.
func (b *Broadcast) Await(ctx context.Context, owner sync.Locker, done func() bool) error {
	for {
		owner.Lock()
		if done() {
			owner.Unlock()
			return nil
		}
		changed := b.C()
		owner.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// A Flag tells one loop that there is work. The loop receives once, however often the flag
// was set, and then does all work that there is. The methods may be called concurrently. A
// Flag is made by NewFlag; its copies are the same flag.
type Flag struct{ c chan struct{} }

// NewFlag returns a flag that is not set.
func NewFlag() Flag { return Flag{make(chan struct{}, 1)} }

// Set sets the flag. It never waits.
func (f Flag) Set() {
	select {
	case f.c <- struct{}{}:
	default:
	}
}

// C returns the channel that the loop receives from. Receiving clears the flag.
func (f Flag) C() <-chan struct{} { return f.c }
