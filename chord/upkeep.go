package chord

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
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
	probes := t.ring.takeProbes()
	t.mu.Unlock()
	for _, n := range probes {
		t.background(func() { t.greet(peer.ID(n.peer)) })
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
	greet, look := t.ring.upkeep()
	lost := len(t.ring.hints.nodes) == 0
	t.mu.Unlock()
	if lost { // all are gone that were known to store, but others may
		t.announce()
	}
	for _, n := range greet {
		t.background(func() { t.greet(peer.ID(n.peer)) })
	}
	for _, l := range look {
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
	if t.ring.evicted {
		t.ring.evicted = false
		t.log.Info("another peer has the same slot, and keeps it")
		t.spawn(func() {
			if err := t.Join(t.ctx); err != nil {
				t.log.Warn("cannot store any more", "err", err)
				t.happen(Event{Kind: EventLeft, Err: err})
			}
		})
	}
	if t.ring.merged {
		t.ring.merged, t.merging, t.united = false, true, now.Add(settleTime)
		if t.due.IsZero() {
			t.due = now.Add(lossPause)
		}
		if t.ring.yielded {
			t.ring.yielded, t.complete, t.due = false, reach{}, now
		}
	}
	if !t.due.IsZero() && !now.Before(t.due) && !t.filling && t.ring.stores {
		t.filling, t.due = true, time.Time{}
		t.spawn(t.fill)
	}
	if now.Sub(t.drained) >= drainPause {
		t.drained = now.Add(time.Hour) // until it is done
		t.spawn(func() { t.drain(t.ctx) })
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
	w := t.ring.window()
	if t.ring.shaken {
		t.ring.shaken, t.complete.back = false, 0
	}
	if len(t.ring.preds) == listed || t.ring.all() || !t.ring.stores { // else it is smaller only for now
		t.complete = t.complete.common(w)
	}
	if t.ring.stores && !w.within(t.complete) && t.due.IsZero() && !t.filling {
		t.due = now.Add(growPause)
		if now.Sub(t.lost) < lossPause {
			t.due = t.lost.Add(lossPause)
		}
		time.AfterFunc(t.due.Sub(now), t.stir)
	}
}

// meet takes the view of a peer that has greeted or answered. The caller holds mu.
func (t *Table) meet(now time.Time, p peer.ID, v *view) {
	before := t.ring.neighbours()
	t.ring.meet(now, *v)
	if t.members[p] {
		t.neighbour[p] = nil
	}
	if !slices.Equal(before, t.ring.neighbours()) {
		t.calm = 0
		if now.Before(t.united) { // two rings still grow together
			t.united = now.Add(settleTime)
		}
		t.stir()
	}
	if len(t.ring.probes) > 0 {
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
func (t *Table) hello() *question {
	t.mu.Lock()
	defer t.mu.Unlock()
	v := t.ring.view(time.Now())
	return &question{kind: askGreet, k: t.k, view: &v}
}

// introduce greets a peer on a new stream.
func (t *Table) introduce(p peer.ID, ask func(*question) (*reply, error)) error {
	a, err := ask(t.hello())
	if err != nil {
		return err
	}
	return t.greeted(p, a)
}

// greeted takes the answer to a greeting.
func (t *Table) greeted(p peer.ID, a *reply) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case a.kind == sayRefused:
		return t.refuse(p, int(a.k))
	case a.kind != sayView || !t.valid(p, a.view):
		t.misbehaved(p)
		return errForm
	}
	t.meet(time.Now(), p, a.view)
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
	if slices.ContainsFunc(t.ring.neighbours(), func(n node) bool { return n.peer == string(p) }) {
		t.log.Info("a peer that stores is gone", "peer", p, "err", why)
		t.calm, t.lost = 0, now
	}
	t.ring.lose(now, string(p))
	t.reshape(now)
	t.stir()
}

// ask asks a peer, which may be this one. Who does not answer is greeted, to make sure
// whether it is lost.
func (t *Table) ask(ctx context.Context, p peer.ID, q *question) (*reply, error) {
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
	if a.kind == sayFailed { // it may be of no use at all
		t.background(func() { t.greet(p) })
	}
	if a.view != nil {
		if !t.valid(p, a.view) {
			t.mu.Lock()
			defer t.mu.Unlock()
			t.misbehaved(p)
			return nil, errForm
		}
		t.learn(p, a)
	}
	if q.kind == askGet || q.kind == askPut {
		t.took(time.Since(start))
	}
	return a, nil
}

// learn takes what an answer tells of the ring.
func (t *Table) learn(p peer.ID, a *reply) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.meet(now, p, a.view)
	for _, n := range a.next {
		t.ring.hear(now, n)
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
func (t *Table) lookup(ctx context.Context, l *lookup) (*reply, error) {
	for {
		p := peer.ID(l.at.peer)
		if t.doubts(p) && l.skip() {
			continue
		}
		a, err := t.ask(ctx, p, &question{kind: askFind, position: l.position})
		more := false
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			more = l.skip()
		case a.kind != sayView:
			more = l.skip()
		case a.owns:
			return a, nil
		default:
			more = l.redirect(append(slices.Clone(a.view.succs), a.next...)...)
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
	t.forget(t.store.expired(now))
	if d, ok := t.shelf.(*disk); ok {
		if err := d.stamp(now); err != nil {
			t.fail(err)
		}
	}
}

// forget removes keys from the store. The caller holds mu.
func (t *Table) forget(keys []string) {
	for _, key := range keys {
		t.store.remove(key)
	}
	if err := t.shelf.remove(keys); err != nil {
		t.fail(err)
	}
}

// greetAll greets peers side by side, and waits for their answers.
func (t *Table) greetAll(nodes []node) {
	var wg sync.WaitGroup
	for _, n := range nodes {
		wg.Go(func() { t.greet(peer.ID(n.peer)) })
	}
	wg.Wait()
}
