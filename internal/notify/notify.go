// Package notify has two signals between goroutines: a [Broadcast], which wakes all that
// wait for a change of some state, and a [Flag], which wakes the one loop that has work.
//
// Both can be received from in a select beside a context, which sync.Cond cannot.
package notify

import (
	"context"
	"sync"
)

// A Broadcast wakes all goroutines that wait for a change of a state that its owner guards
// with a lock of its own. The zero value is ready for use. Its methods may be called
// concurrently, with the owner's lock held or not. A Broadcast must not be copied.
//
// Without a waiter, Notify allocates nothing.
type Broadcast struct {
	mu sync.Mutex
	c  chan struct{} // closed by the next Notify; nil while nobody has asked for it
}

// C returns a channel that the next Notify closes. A waiter gets it before it looks at the
// state, or with the owner's lock held; then no change between the two is missed.
func (b *Broadcast) C() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.c == nil {
		b.c = make(chan struct{})
	}
	return b.c
}

// Notify wakes all waiters. The owner calls it after it has changed the state, before or
// after it releases its lock.
func (b *Broadcast) Notify() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.c != nil {
		close(b.c)
		b.c = nil
	}
}

// Await calls done with the owner's lock held, and again after each Notify, until done
// reports true. It does not hold the lock while it waits, nor when it returns. The error is
// the context's; while done reports true at once the context is not looked at.
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

// A Flag tells one loop that there is something to do. However often it is set, the loop
// receives once, and looks at everything then. Its methods may be called concurrently; a
// Flag is made by NewFlag, and copies of it are the same flag.
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

// C returns the channel from which the loop receives. Receiving clears the flag.
func (f Flag) C() <-chan struct{} { return f.c }
