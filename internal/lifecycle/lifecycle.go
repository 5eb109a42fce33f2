// Package lifecycle ties what an object starts to the end of the object: nothing starts
// after its end has begun, and the end waits for what was started.
package lifecycle

import (
	"context"
	"sync"
	"time"
)

// A Group is what one object has started: goroutines, streams that it serves, calls that
// its Close must wait for. It ends in up to three steps, so that an owner can do something
// between them: [Group.Seal], [Group.Cancel], [Group.Wait]. [Group.Close] does all three.
//
// Its methods may be called concurrently, with locks of the owner held, except that Wait
// and Close must not be called by what they wait for. A Group is made by New.
type Group struct {
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu     sync.Mutex
	sealed bool
}

// New returns a group in which things may begin.
func New() *Group {
	g := &Group{}
	g.ctx, g.cancel = context.WithCancel(context.Background())
	return g
}

// Context returns a context that ends with Cancel.
func (g *Group) Context() context.Context { return g.ctx }

// Begin counts one more thing that Wait waits for, until a call of End. It reports false,
// and counts nothing, if the group is sealed.
func (g *Group) Begin() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.sealed {
		g.wg.Add(1)
	}
	return !g.sealed
}

// End ends what Begin has counted.
func (g *Group) End() { g.wg.Done() }

// Go runs f in a goroutine that Wait waits for. It reports false, and does not run f, if
// the group is sealed.
func (g *Group) Go(f func()) bool {
	if !g.Begin() {
		return false
	}
	go func() {
		defer g.End()
		f()
	}()
	return true
}

// Seal lets nothing begin any more. It reports whether this call is the one that sealed
// the group.
func (g *Group) Seal() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	first := !g.sealed
	g.sealed = true
	return first
}

// Sealed reports whether nothing can begin any more.
func (g *Group) Sealed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.sealed
}

// Cancel seals the group and ends its context.
func (g *Group) Cancel() {
	g.Seal()
	g.cancel()
}

// Wait returns when the context of the group has ended, and with it all that was begun.
func (g *Group) Wait() {
	<-g.ctx.Done()
	g.wg.Wait()
}

// Close seals the group, ends its context, and waits for all that was begun. It may be
// called more than once; each call returns when all has ended.
func (g *Group) Close() {
	g.Cancel()
	g.Wait()
}

// Sleep waits for a time. The error is the context's, if that ends before.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
