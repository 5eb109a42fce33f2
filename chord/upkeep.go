package chord

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/chord/internal/ring"
	"github.com/p2p-today/go2p/chord/internal/wire"
)

// The times of upkeep.
const (
	turnTime   = time.Second            // between two turns of upkeep while the ring changes
	calmTurns  = 8                      // without a change, until a turn takes as many times as long
	growPause  = 200 * time.Millisecond // from another change to that
	lossPause  = 5 * time.Second        // from a certain loss to the filling of what is missing here
	drainPause = 10 * time.Second       // between looks for what belongs to others
	settleTime = 30 * time.Second       // without a change, until two rings are thought to be one
	sweepPause = time.Hour              // between looks for deletions that need not be remembered
)

// loop does the upkeep of the ring, and what follows from its changes.
func (t *Table) loop() {
	turn := time.NewTimer(0)
	defer turn.Stop()
	sweep := time.NewTicker(sweepPause)
	defer sweep.Stop()
	for {
		select {
		case <-t.ctx.Done():
			return
		case <-t.wake:
			t.probe()
		case <-turn.C:
			turn.Reset(t.turn())
		case <-sweep.C:
			t.sweep(time.Now())
		}
		t.keepUp(time.Now())
	}
}

// probe greets those of whom was heard.
func (t *Table) probe() {
	t.mu.Lock()
	probes := t.toGreet
	t.toGreet = nil
	t.mu.Unlock()
	for _, n := range probes {
		t.background(func() { t.greet(peer.ID(n.Peer)) })
	}
}

// turn does one turn of upkeep, and returns when the next is due. The neighbours on the
// ring are most often neighbours in the mesh, which tells when they are gone; so that
// when nothing changes, there is little to do.
func (t *Table) turn() time.Duration {
	t.mu.Lock()
	t.calm++
	pace := turnTime
	if t.calm >= calmTurns {
		pace *= calmTurns
	}
	e := t.ring.Upkeep()
	lost := len(t.ring.Known()) == 0
	t.mu.Unlock()
	if lost { // all are gone that were known to store, but others may
		t.announce()
	}
	for _, n := range e.Greet {
		t.background(func() { t.greet(peer.ID(n.Peer)) })
	}
	for _, l := range e.Look {
		t.background(func() { t.lookup(t.ctx, l) })
	}
	t.probe()
	return pace
}

// keepUp does what follows from changes of the ring.
func (t *Table) keepUp(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.reshape(now)
	if !t.due.IsZero() && !now.Before(t.due) && !t.filling && t.ring.Stores() {
		t.filling, t.due = true, time.Time{}
		t.spawn(t.fill)
	}
	if now.Sub(t.drained) >= drainPause {
		t.drained = now.Add(time.Hour) // until it is done
		t.spawn(func() { t.drain(t.ctx) })
	}
}

// effects does what follows from a call of the ring. The caller holds mu.
func (t *Table) effects(now time.Time, e ring.Effects) {
	for _, n := range e.Greet {
		if len(t.toGreet) < 4*ring.Listed && !slices.Contains(t.toGreet, n) {
			t.toGreet = append(t.toGreet, n)
			t.stir()
		}
	}
	if e.Shaken {
		t.complete.Back = 0
	}
	if e.Evicted {
		t.log.Info("another peer has the same slot, and keeps it")
		t.spawn(func() {
			if err := t.Join(t.ctx); err != nil {
				t.log.Warn("cannot store any more", "err", err)
				t.happen(Event{Kind: EventLeft, Err: err})
			}
		})
	}
	if e.Merged {
		t.merging, t.united = true, now.Add(settleTime)
		if t.due.IsZero() {
			t.due = now.Add(lossPause)
		}
		if e.Yielded {
			t.complete, t.due = ring.Reach{}, now
		}
	}
}

// spawn is background with mu held.
func (t *Table) spawn(f func()) {
	if !t.closed {
		t.wg.Go(f)
	}
}

// reshape notes that what this peer is a home for may have changed. The caller holds mu.
func (t *Table) reshape(now time.Time) {
	w := t.ring.Window()
	if len(t.ring.Preds()) == ring.Listed || t.ring.ListsAll() || !t.ring.Stores() { // else it is smaller only for now
		t.complete = t.complete.Common(w)
	}
	if t.ring.Stores() && !w.Within(t.complete) && t.due.IsZero() && !t.filling {
		t.due = now.Add(growPause)
		if now.Sub(t.lost) < lossPause {
			t.due = t.lost.Add(lossPause)
		}
		time.AfterFunc(t.due.Sub(now), t.stir)
	}
}

// meet takes the view of a peer that has greeted or answered. The caller holds mu.
func (t *Table) meet(now time.Time, p peer.ID, v *ring.View) {
	e := t.ring.Meet(now, *v)
	t.effects(now, e)
	if t.members[p] {
		t.neighbour[p] = nil
	}
	if e.Moved {
		t.calm = 0
		if now.Before(t.united) { // two rings still grow together
			t.united = now.Add(settleTime)
		}
		t.stir()
	}
	t.reshape(now)
	t.tell()
}

// refuse notes a peer with another k, and reports it once while it is a neighbour. The
// caller holds mu.
func (t *Table) refuse(p peer.ID, theirs int) error {
	err := &RefusedError{p.String(), int(t.k), theirs}
	if was, ok := t.neighbour[p]; !ok || was == nil || was.Error() != err.Error() {
		t.log.Warn("table not shared", "peer", p, "err", err)
		t.happen(Event{Kind: EventRefused, Peer: p.String(), Err: err})
	}
	t.neighbour[p] = err
	t.tell()
	return err
}

// hello is a greeting of this peer.
func (t *Table) hello() *wire.Question {
	t.mu.Lock()
	defer t.mu.Unlock()
	v := t.ring.View(time.Now())
	return &wire.Question{Kind: wire.AskGreet, K: t.k, View: &v}
}

// introduce greets a peer on a new stream.
func (t *Table) introduce(p peer.ID, ask func(*wire.Question) (*wire.Reply, error)) error {
	a, err := ask(t.hello())
	if err != nil {
		return err
	}
	return t.greeted(p, a)
}

// greeted takes the answer to a greeting.
func (t *Table) greeted(p peer.ID, a *wire.Reply) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case a.Kind == wire.SayRefused:
		return t.refuse(p, int(a.K))
	case a.Kind != wire.SayView || !t.valid(p, a.View):
		t.misbehaved(p)
		return errForm
	}
	t.meet(time.Now(), p, a.View)
	return nil
}

// misbehaved says that a peer has answered what no honest one does. The caller holds mu.
func (t *Table) misbehaved(p peer.ID) { t.spawn(func() { t.net.misbehaved(p) }) }

// announce tells all neighbours in the mesh whether this peer stores, and hears whether
// they do.
func (t *Table) announce() {
	if t.mesh == nil {
		return
	}
	for _, p := range t.mesh.Peers() {
		t.background(func() { t.greet(p.ID) })
	}
}

// greet greets a peer, unless somebody does already. One that does not answer is lost.
func (t *Table) greet(p peer.ID) {
	t.mu.Lock()
	busy := t.greeting[p]
	t.greeting[p] = true
	t.mu.Unlock()
	if busy {
		return
	}
	ctx, cancel := context.WithTimeout(t.ctx, askTime)
	defer cancel()
	a, err := t.net.ask(ctx, p, t.hello())
	if err == nil {
		err = t.greeted(p, a)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.greeting, p)
	delete(t.doubted, p)
	if err != nil && t.ctx.Err() == nil {
		t.lose(p, err)
	}
}

// lose notes that a peer does not answer. The caller holds mu.
func (t *Table) lose(p peer.ID, why error) {
	now := time.Now()
	e := t.ring.Lose(now, string(p))
	t.effects(now, e)
	if e.Lost {
		t.log.Info("a peer that stores is gone", "peer", p, "err", why)
		t.calm, t.lost = 0, now
	}
	t.reshape(now)
	t.stir()
}

// ask asks a peer, which may be this one. Who does not answer is greeted, to make sure
// whether it is lost.
func (t *Table) ask(ctx context.Context, p peer.ID, q *wire.Question) (*wire.Reply, error) {
	if p == t.id {
		a, wait, err := t.handle(p, q)
		if wait != nil {
			a = wait(ctx)
		}
		return a, err
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	start := time.Now()
	a, err := t.net.ask(ctx, p, q)
	if err != nil {
		if t.ctx.Err() == nil && !errors.Is(err, context.Canceled) {
			t.mu.Lock()
			t.doubted[p] = true
			t.mu.Unlock()
			t.background(func() { t.greet(p) })
		}
		return nil, err
	}
	if a.Kind == wire.SayFailed { // it may be of no use at all
		t.background(func() { t.greet(p) })
	}
	if a.View != nil {
		if !t.valid(p, a.View) {
			t.mu.Lock()
			defer t.mu.Unlock()
			t.misbehaved(p)
			return nil, errForm
		}
		t.learn(p, a)
	}
	if q.Kind == wire.AskGet || q.Kind == wire.AskPut {
		t.took(time.Since(start))
	}
	return a, nil
}

// learn takes what an answer tells of the ring.
func (t *Table) learn(p peer.ID, a *wire.Reply) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.meet(now, p, a.View)
	for _, n := range a.Next {
		t.effects(now, t.ring.Hear(now, n))
	}
}

const firstPace = 20 * time.Millisecond

// took notes how long an answer took.
func (t *Table) took(d time.Duration) {
	t.mu.Lock()
	t.pace += (d - t.pace) / 16
	t.mu.Unlock()
}

// errAstray says that a lookup has led to nobody who answers.
var errAstray = errors.New("who is asked knows of nobody nearer who answers")

// lookup finds the owner of a position.
func (t *Table) lookup(ctx context.Context, l *ring.Lookup) (*wire.Reply, error) {
	for {
		p := peer.ID(l.At.Peer)
		if t.doubts(p) && l.Skip() {
			continue
		}
		a, err := t.ask(ctx, p, &wire.Question{Kind: wire.AskFind, Position: l.Position})
		more := false
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			more = l.Skip()
		case a.Kind != wire.SayView:
			more = l.Skip()
		case a.Owns:
			return a, nil
		default:
			more = l.Redirect(append(slices.Clone(a.View.Succs), a.Next...)...)
		}
		if !more {
			return nil, errAstray
		}
	}
}

// doubts tells whether a peer may be gone. Whoever can do without it asks another.
func (t *Table) doubts(p peer.ID) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.doubted[p]
}

// sweep forgets deletions that need not be remembered any more.
func (t *Table) sweep(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget(t.store.Expired(now))
	if d, ok := t.shelf.(*disk); ok {
		if err := d.stamp(now); err != nil {
			t.fail(err)
		}
	}
}

// forget removes keys from the store. The caller holds mu.
func (t *Table) forget(keys []string) {
	t.store.Remove(keys...)
	if err := t.shelf.remove(keys); err != nil {
		t.fail(err)
	}
}

// greetAll greets peers side by side, and waits for their answers.
func (t *Table) greetAll(nodes []ring.Node) {
	var wg sync.WaitGroup
	for _, n := range nodes {
		wg.Go(func() { t.greet(peer.ID(n.Peer)) })
	}
	wg.Wait()
}
