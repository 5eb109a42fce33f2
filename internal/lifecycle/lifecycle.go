// Package lifecycle ends the goroutines of an object with the object: its Close waits for
// all of them, and none starts after it.
package lifecycle

import (
	"context"
	"sync"
	"time"
)

// A Group is the goroutines, served streams and calls that the Close of one object waits
// for. It ends in three steps, so that the owner can act between them: [Group.Seal],
// [Group.Cancel] and [Group.Wait]. [Group.Close] takes all three.
//
// The methods may be called concurrently, and with locks of the owner held. Wait and Close
// must not be called by a member of the group. A Group is made by New.
type Group struct {
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu     sync.Mutex
	sealed bool
}

// New returns a group without members.
func New() *Group {
	g := &Group{}
	g.ctx, g.cancel = context.WithCancel(context.Background())
	return g
}

// Context returns the context that Cancel ends.
func (g *Group) Context() context.Context { return g.ctx }

// Begin adds a member, which Wait waits for until End is called. If the group is sealed,
// Begin adds nothing and reports false.
func (g *Group) Begin() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.sealed {
		g.wg.Add(1)
	}
	return !g.sealed
}

// End removes a member that Begin has added.
func (g *Group) End() { g.wg.Done() }

// Go runs f in a goroutine that Wait waits for. If the group is sealed, Go does not run f
// and reports false.
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

// Seal lets no member begin any more. It reports whether this call has sealed the group.
func (g *Group) Seal() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	first := !g.sealed
	g.sealed = true
	return first
}

// Sealed reports whether the group is sealed.
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

// Wait returns when the context of the group and all members have ended.
func (g *Group) Wait() {
	<-g.ctx.Done()
	g.wg.Wait()
}

// Close seals the group, ends its context, and waits for all members. It may be called more
// than once; each call waits.
func (g *Group) Close() {
	g.Cancel()
	g.Wait()
}

// Sleep waits for d. It returns the context's error if the context ends before.
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
