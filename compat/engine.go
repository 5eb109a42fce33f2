package compat

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/p2p-today/go2p/compat/internal/legacy"
	"github.com/p2p-today/go2p/internal/notify"
)

// An engine drives the core of a node. Its lock serializes the calls of the core, and is held while their effects are
// performed, so that effects stay in order. Its loop calls the core when something is due.
type engine struct {
	perform func(legacy.Effects) // set before run; must not block
	wake    notify.Flag
	turns   atomic.Uint64 // of the loop

	mu     sync.Mutex
	core   *legacy.Node
	closed bool
}

func newEngine(core *legacy.Node) *engine { return &engine{core: core, wake: notify.NewFlag()} }

// run calls the core when something is due, until the context ends.
func (e *engine) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.wake.C():
		case <-timer.C:
		}
		e.turns.Add(1)
		var next time.Time
		e.call(func(now time.Time) (legacy.Effects, error) {
			out := e.core.Advance(now)
			next = e.core.Deadline()
			return out, nil
		})
		if next.IsZero() {
			next = time.Now().Add(time.Hour)
		}
		timer.Reset(time.Until(next))
	}
}

// do calls the core, after which something else may be due. Error: ErrClosed.
func (e *engine) do(f func(now time.Time) (legacy.Effects, error)) error {
	defer e.wake.Set()
	return e.call(f)
}

// call calls the core, and performs its effects. Error: ErrClosed.
func (e *engine) call(f func(now time.Time) (legacy.Effects, error)) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return ErrClosed
	}
	out, err := f(time.Now())
	e.perform(out)
	return err
}

// read looks at the core. Error: ErrClosed.
func (e *engine) read(look func()) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return ErrClosed
	}
	look()
	return nil
}

// readClosed looks at the core, even of a closed node.
func (e *engine) readClosed(look func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	look()
}

// close refuses all calls from now on.
func (e *engine) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
}
