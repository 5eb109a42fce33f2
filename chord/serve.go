package chord

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/internal/frame"
)

// answer answers questions until the stream ends. Those that have to wait for the disk,
// or for changes, do so side by side.
func (t *Table) answer(from peer.ID, s network.Stream) error {
	in, out := frame.NewReader(s, maxMessage), newOutbox(s)
	room := make(chan struct{}, maxAsked)
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(t.ctx)
	defer cancel()
	greeted := false
	for {
		body, err := in.Next()
		if errors.Is(err, frame.ErrTooLarge) {
			return fmt.Errorf("%w: %w", errForm, err)
		} else if err != nil {
			return err
		}
		id, q, err := scanQuestion(body, time.Now())
		if err != nil {
			return fmt.Errorf("%w: %w", errForm, err)
		}
		if greeted = greeted || q.kind == askGreet; !greeted {
			return fmt.Errorf("%w: a question before the greeting", errForm)
		}
		a, wait, err := t.handle(from, q)
		if err != nil {
			return err
		}
		if wait == nil {
			if err := out.send(a.append(nil, id, time.Now())); err != nil {
				return err
			}
			if a.kind == sayRefused {
				greeted = false
			}
			continue
		}
		select {
		case room <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		wg.Go(func() {
			defer func() { <-room }()
			out.send(wait(ctx).append(nil, id, time.Now()))
		})
	}
}

// handle answers a question, at once or by waiting for the answer. The error says that no
// honest peer asks it.
func (t *Table) handle(from peer.ID, q *question) (a *reply, wait func(context.Context) *reply, err error) {
	if q.view != nil && !t.valid(from, q.view) || uint64(q.position) >= 1<<t.k {
		return nil, nil, fmt.Errorf("%w: a slot or peer that is not its own", errForm)
	}
	if from != t.id {
		t.stats.questions.Add(1)
	}
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	switch q.kind {
	case askGreet:
		if q.k != t.k {
			t.refuse(from, int(q.k))
			return &reply{kind: sayRefused, k: t.k}, nil, nil
		}
		t.meet(now, from, q.view)
		return t.where(now, q.position), nil, nil
	case askFind:
		return t.where(now, q.position), nil, nil
	case askClaim:
		a = t.where(now, q.position)
		a.kind, a.verdict = sayClaim, t.ring.claim(now, q.position, string(from))
		if a.verdict == granted {
			v := t.ring.view(now)
			a.view = &v
			t.reshape(now)
			t.stir()
		}
		return a, nil, nil
	case askDepart:
		t.ring.depart(now, *q.view)
		t.reshape(now)
		t.stir()
		return t.where(now, 0), nil, nil
	case askGet, askPut, askPrepare:
		p := t.k.position(q.key, q.role.index)
		if !t.ring.plays(p, q.role.offset) {
			a = t.where(now, p)
			a.kind = sayNotMine
			return a, nil, nil
		}
		filling := !t.k.covers(t.ring.self.slot, t.complete, p)
		if q.kind == askPrepare {
			above, ok := t.store.prepare(now, q.key, q.write.version)
			if !ok && above.counter == 0 {
				return &reply{kind: sayFailed, text: "busy"}, nil, nil
			} else if !ok {
				return &reply{kind: sayDone, homes: t.ring.copies(), outcome: lower, write: write{version: above}}, nil, nil
			}
		}
		if q.kind != askPut {
			return t.give(q, filling), nil, nil
		}
		a, wait = t.take(now, q, filling, true)
		return a, wait, nil
	case askFetch:
		return t.give(q, !t.near(t.k.positions(q.key), t.ring.window())), nil, nil
	case askOffer:
		positions := t.k.positions(q.key)
		if !t.near(positions, t.ring.neighbourhood()) {
			a = t.where(now, 0)
			a.kind = sayNotMine
			return a, nil, nil
		}
		a, wait = t.take(now, q, !t.near(positions, t.ring.window()), false)
		return a, wait, nil
	case askPage:
		return t.page(q), nil, nil
	case askCount:
		return &reply{kind: sayCount, filling: t.isFilling(), count: t.store.alive}, nil, nil
	}
	return nil, func(ctx context.Context) *reply { return t.changes(ctx, q) }, nil
}

// valid tells whether a view is one of a peer, on this circle.
func (t *Table) valid(p peer.ID, v *view) bool {
	on := func(nodes []node) bool {
		for _, n := range nodes {
			if uint64(n.slot) >= 1<<t.k {
				return false
			}
		}
		return true
	}
	return v.self.peer == string(p) && uint64(v.self.slot) < 1<<t.k && on(v.preds) && on(v.succs)
}

// where says where this peer is and who is nearer to a position. The caller holds mu.
func (t *Table) where(now time.Time, p slot) *reply {
	v := t.ring.view(now)
	a := &reply{kind: sayView, owns: t.ring.owns(p), view: &v}
	if n, ok := t.ring.next(p); ok && n != t.ring.self {
		a.next = []node{n}
	}
	return a
}

// near tells whether one of a key's positions is in a reach of this peer. If it is in the
// window, this peer may be a home of the key; if it is in the neighbourhood, it may become
// one soon. The caller holds mu.
func (t *Table) near(positions [copies]slot, r reach) bool {
	return slices.ContainsFunc(positions[:], func(p slot) bool { return t.k.covers(t.ring.self.slot, r, p) })
}

// give says what is held of a key. The caller holds mu.
func (t *Table) give(q *question, filling bool) *reply {
	a := &reply{kind: sayHeld, filling: filling, homes: t.ring.copies()}
	it := t.store.get(q.key)
	if it == nil {
		return a
	}
	a.write = write{version: it.version, deleted: it.deleted, at: it.at}
	if !q.brief && !it.deleted {
		value, err := t.shelf.get(q.key)
		if err != nil {
			t.fail(err)
			return &reply{kind: sayFailed, text: "the store cannot be read"}
		}
		a.value, a.whole = value, true
	}
	return a
}

// take takes a write, if it is above what is held. The caller holds mu.
func (t *Table) take(now time.Time, q *question, filling, told bool) (*reply, func(context.Context) *reply) {
	if t.failed != nil {
		return &reply{kind: sayFailed, text: "the store has failed"}, nil
	}
	if !q.write.deleted && q.write.hash != valueHash(q.value) {
		return &reply{kind: sayFailed, text: "the version is of another value"}, nil
	}
	a := &reply{kind: sayDone, filling: filling, homes: t.ring.copies(), outcome: t.store.put(now, q.key, q.write)}
	if a.write.version = t.store.held(q.key); a.outcome == lower {
		if promised := t.store.promised(now, q.key); promised.compare(a.write.version) > 0 {
			a.write.version = promised
		}
	}
	if a.outcome != stored {
		return a, nil
	}
	synced, err := t.shelf.put(q.key, q.write, q.value)
	if err != nil {
		t.fail(err)
		return &reply{kind: sayFailed, text: "the store does not take it"}, nil
	}
	if told {
		t.changeLog.add(q.key, q.write, q.value)
		close(t.news)
		t.news = make(chan struct{})
	}
	if synced == nil {
		return a, nil
	}
	return nil, func(context.Context) *reply {
		if err := synced(); err != nil {
			t.mu.Lock()
			defer t.mu.Unlock()
			t.fail(err)
			return &reply{kind: sayFailed, text: "the store does not take it"}
		}
		return a
	}
}

// fail ends storing, after the disk did not take or give what it should. The caller holds
// mu.
func (t *Table) fail(err error) {
	if t.failed == nil {
		t.failed = err
		t.log.Error("nothing is stored any more", "err", err)
	}
}

// page gives some of what is held of an arc. The caller holds mu.
func (t *Table) page(q *question) *reply {
	a := &reply{kind: sayPage, filling: t.isFilling()}
	a.entries, a.start, a.more = t.store.page(q.sel, q.values)
	for i := range a.entries {
		if e := &a.entries[i]; q.values && !e.write.deleted {
			var err error
			if e.value, err = t.shelf.get(e.key); err != nil {
				t.fail(err)
			}
		}
	}
	return a
}
