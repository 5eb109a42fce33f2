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

	"github.com/p2p-today/go2p/chord/internal/home"
	"github.com/p2p-today/go2p/chord/internal/ring"
	"github.com/p2p-today/go2p/chord/internal/wire"
)

// answer answers questions until the stream ends. Those that have to wait for the disk,
// or for changes, do so side by side.
func (t *Table) answer(from peer.ID, s network.Stream) error {
	in, out := frame.NewReader(s, wire.MaxMessage), newOutbox(s)
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
		id, q, err := wire.ScanQuestion(body, time.Now())
		if err != nil {
			return fmt.Errorf("%w: %w", errForm, err)
		}
		if greeted = greeted || q.Kind == wire.AskGreet; !greeted {
			return fmt.Errorf("%w: a question before the greeting", errForm)
		}
		a, wait, err := t.handle(from, q)
		if err != nil {
			return err
		}
		if wait == nil {
			if err := out.send(a.Append(nil, id, time.Now())); err != nil {
				return err
			}
			if a.Kind == wire.SayRefused {
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
			out.send(wait(ctx).Append(nil, id, time.Now()))
		})
	}
}

// handle answers a question, at once or by waiting for the answer. The error says that no
// honest peer asks it.
func (t *Table) handle(from peer.ID, q *wire.Question) (a *wire.Reply, wait func(context.Context) *wire.Reply, err error) {
	if q.View != nil && !t.valid(from, q.View) || uint64(q.Position) >= 1<<t.k {
		return nil, nil, fmt.Errorf("%w: a slot or peer that is not its own", errForm)
	}
	if from != t.id {
		t.stats.questions.Add(1)
	}
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	switch q.Kind {
	case wire.AskGreet:
		if q.K != t.k {
			t.refuse(from, int(q.K))
			return &wire.Reply{Kind: wire.SayRefused, K: t.k}, nil, nil
		}
		t.meet(now, from, q.View)
		return t.where(now, q.Position), nil, nil
	case wire.AskFind:
		return t.where(now, q.Position), nil, nil
	case wire.AskClaim:
		a = t.where(now, q.Position)
		var e ring.Effects
		a.Kind = wire.SayClaim
		a.Verdict, e = t.ring.Claim(now, q.Position, string(from))
		if a.Verdict == ring.Granted {
			v := t.ring.View(now)
			a.View = &v
			t.effects(now, e)
			t.reshape(now)
			t.stir()
		}
		return a, nil, nil
	case wire.AskDepart:
		t.effects(now, t.ring.Depart(now, *q.View))
		t.reshape(now)
		t.stir()
		return t.where(now, 0), nil, nil
	case wire.AskGet, wire.AskPut, wire.AskPrepare:
		p := t.k.Position(q.Key, q.Role.Index)
		if !t.ring.Plays(p, q.Role.Offset) {
			a = t.where(now, p)
			a.Kind = wire.SayNotMine
			return a, nil, nil
		}
		filling := !t.k.Covers(t.ring.Self().Slot, t.complete, p)
		if q.Kind == wire.AskPrepare {
			above, ok := t.store.Prepare(now, q.Key, q.Write.Version)
			if !ok && above.Counter == 0 {
				return &wire.Reply{Kind: wire.SayFailed, Text: "busy"}, nil, nil
			} else if !ok {
				return &wire.Reply{Kind: wire.SayOutcome, Replicas: t.ring.Copies(), Outcome: home.Lower, Write: home.Write{Version: above}}, nil, nil
			}
		}
		if q.Kind != wire.AskPut {
			return t.give(q, filling), nil, nil
		}
		a, wait = t.take(now, q, filling, true)
		return a, wait, nil
	case wire.AskFetch:
		return t.give(q, !t.near(t.k.Positions(q.Key), t.ring.Window())), nil, nil
	case wire.AskOffer:
		positions := t.k.Positions(q.Key)
		if !t.near(positions, t.ring.Neighbourhood()) {
			a = t.where(now, 0)
			a.Kind = wire.SayNotMine
			return a, nil, nil
		}
		a, wait = t.take(now, q, !t.near(positions, t.ring.Window()), false)
		return a, wait, nil
	case wire.AskPage:
		return t.page(q), nil, nil
	case wire.AskCount:
		return &wire.Reply{Kind: wire.SayCount, Backfilling: t.isFilling(), Count: t.store.Alive()}, nil, nil
	}
	return nil, func(ctx context.Context) *wire.Reply { return t.changes(ctx, q) }, nil
}

// valid tells whether a view is one of a peer, on this circle.
func (t *Table) valid(p peer.ID, v *ring.View) bool {
	on := func(nodes []ring.Node) bool {
		for _, n := range nodes {
			if uint64(n.Slot) >= 1<<t.k {
				return false
			}
		}
		return true
	}
	return v.Self.Peer == string(p) && uint64(v.Self.Slot) < 1<<t.k && on(v.Preds) && on(v.Succs)
}

// where says where this peer is and who is nearer to a position. The caller holds mu.
func (t *Table) where(now time.Time, p ring.Slot) *wire.Reply {
	v := t.ring.View(now)
	a := &wire.Reply{Kind: wire.SayView, Owns: t.ring.Owns(p), View: &v}
	if n, ok := t.ring.Next(p); ok && n != t.ring.Self() {
		a.Next = []ring.Node{n}
	}
	return a
}

// near tells whether one of a key's positions is in a reach of this peer. If it is in the
// window, this peer may be a home of the key; if it is in the neighbourhood, it may become
// one soon. The caller holds mu.
func (t *Table) near(positions [ring.Copies]ring.Slot, r ring.Reach) bool {
	return slices.ContainsFunc(positions[:], func(p ring.Slot) bool { return t.k.Covers(t.ring.Self().Slot, r, p) })
}

// give says what is held of a key. The caller holds mu.
func (t *Table) give(q *wire.Question, filling bool) *wire.Reply {
	a := &wire.Reply{Kind: wire.SayVersion, Backfilling: filling, Replicas: t.ring.Copies()}
	it, ok := t.store.Get(q.Key)
	if !ok {
		return a
	}
	a.Write = home.Write{Version: it.Version, Deleted: it.Deleted, At: it.At}
	if !q.Brief && !it.Deleted {
		value, err := t.shelf.get(q.Key)
		if err != nil {
			t.fail(err)
			return &wire.Reply{Kind: wire.SayFailed, Text: "the store cannot be read"}
		}
		a.Value, a.Whole = value, true
	}
	return a
}

// take takes a write, if it is above what is held. The caller holds mu.
func (t *Table) take(now time.Time, q *wire.Question, filling, told bool) (*wire.Reply, func(context.Context) *wire.Reply) {
	if t.failed != nil {
		return &wire.Reply{Kind: wire.SayFailed, Text: "the store has failed"}, nil
	}
	if !q.Write.Deleted && q.Write.Hash != home.Hash(q.Value) {
		return &wire.Reply{Kind: wire.SayFailed, Text: "the version is of another value"}, nil
	}
	a := &wire.Reply{Kind: wire.SayOutcome, Backfilling: filling, Replicas: t.ring.Copies()}
	put := t.store.Put(now, q.Key, q.Write)
	a.Outcome, a.Write.Version = put.Outcome, put.Version
	if a.Outcome != home.Stored {
		return a, nil
	}
	synced, err := t.shelf.put(q.Key, q.Write, q.Value)
	if err != nil {
		t.fail(err)
		return &wire.Reply{Kind: wire.SayFailed, Text: "the store does not take it"}, nil
	}
	if told {
		t.changeLog.Add(q.Key, q.Write, q.Value)
		close(t.news)
		t.news = make(chan struct{})
	}
	if synced == nil {
		return a, nil
	}
	return nil, func(context.Context) *wire.Reply {
		if err := synced(); err != nil {
			t.mu.Lock()
			defer t.mu.Unlock()
			t.fail(err)
			return &wire.Reply{Kind: wire.SayFailed, Text: "the store does not take it"}
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
func (t *Table) page(q *wire.Question) *wire.Reply {
	a := &wire.Reply{Kind: wire.SayPage, Backfilling: t.isFilling()}
	p := t.store.Page(q.Selection, q.Values)
	a.Entries, a.Start, a.More = p.Entries, p.Next, p.More
	for i := range a.Entries {
		if e := &a.Entries[i]; q.Values && !e.Write.Deleted {
			var err error
			if e.Value, err = t.shelf.get(e.Key); err != nil {
				t.fail(err)
			}
		}
	}
	return a
}
