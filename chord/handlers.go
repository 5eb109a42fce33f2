package chord

import (
	"context"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/chord/internal/home"
	"github.com/p2p-today/go2p/chord/internal/ring"
	"github.com/p2p-today/go2p/chord/internal/wire"
)

const watchTime = 20 * time.Second // how long a question for changes waits for one

// A later is a reply that has to be waited for: until a write is on disk, or until there
// are changes.
type later func(context.Context) *wire.Reply

// handle answers a question, at once or later. The error says that no honest peer asks it.
func (n *node) handle(from peer.ID, q *wire.Question) (*wire.Reply, later, error) {
	if q.View != nil && !n.valid(from, q.View) || uint64(q.Position) >= 1<<n.k {
		return nil, nil, fmt.Errorf("%w: a slot or peer that is not its own", errMalformed)
	}
	if from != n.id {
		n.questions.Add(1)
	}
	now := time.Now()
	switch q.Kind {
	case wire.AskGreet: // takes the lock itself
		return n.handleGreet(now, from, q), nil, nil
	case wire.AskWatch: // likewise
		return nil, func(ctx context.Context) *wire.Reply { return n.handleWatch(ctx, q) }, nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	var a *wire.Reply
	var wait later
	switch q.Kind {
	case wire.AskFind:
		a = n.where(now, q.Position)
	case wire.AskClaim:
		a = n.handleClaim(now, from, q)
	case wire.AskDepart:
		a = n.handleDepart(now, q)
	case wire.AskGet:
		a = n.handleGet(now, q)
	case wire.AskPut:
		a, wait = n.handlePut(now, q)
	case wire.AskPrepare:
		a = n.handlePrepare(now, q)
	case wire.AskFetch:
		a = n.handleFetch(q)
	case wire.AskOffer:
		a, wait = n.handleOffer(now, q)
	case wire.AskPage:
		a = n.handlePage(q)
	case wire.AskCount:
		a = &wire.Reply{Kind: wire.SayCount, Backfilling: n.schedule.Lacking(), Count: n.storage.store.Alive()}
	}
	return a, wait, nil
}

// The handlers below, but those of greetings and watches, are called with mu held.

func (n *node) handleGreet(now time.Time, from peer.ID, q *wire.Question) *wire.Reply {
	if q.K != n.k {
		n.neighbours.refuse(from, int(q.K))
		return &wire.Reply{Kind: wire.SayRefused, K: n.k}
	}
	n.meet(now, from, q.View)
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.where(now, q.Position)
}

// handleWatch waits until there are changes, at most watchTime.
func (n *node) handleWatch(ctx context.Context, q *wire.Question) *wire.Reply {
	end := time.After(watchTime)
	for {
		n.mu.Lock()
		c, changed := n.storage.changes.Since(q.Run, q.Revision, q.Selection.Prefix), n.changed.C()
		n.mu.Unlock()
		a := &wire.Reply{Kind: wire.SayChanges, Run: c.Run, Revision: c.Revision, Missed: c.Missed, Entries: c.Entries}
		if len(c.Entries) > 0 || c.Missed || q.Run != c.Run {
			return a
		}
		select {
		case <-changed:
		case <-end:
			return a
		case <-ctx.Done():
			return &wire.Reply{Kind: wire.SayFailed, Text: "closing"}
		}
	}
}

// where returns where this node is, whether it owns a position, and which node is nearer.
func (n *node) where(now time.Time, p ring.Slot) *wire.Reply {
	v := n.ring.View(now)
	a := &wire.Reply{Kind: wire.SayView, Owns: n.ring.Owns(p), View: &v}
	if next, ok := n.ring.Next(p); ok && next != n.ring.Self() {
		a.Next = []ring.Node{next}
	}
	return a
}

func (n *node) handleClaim(now time.Time, from peer.ID, q *wire.Question) *wire.Reply {
	a := n.where(now, q.Position)
	verdict, e := n.ring.Claim(now, q.Position, string(from))
	if verdict == ring.Granted {
		v := n.ring.View(now)
		a.View = &v
		n.took(now, e)
	}
	a.Kind, a.Verdict = wire.SayClaim, verdict
	return a
}

func (n *node) handleDepart(now time.Time, q *wire.Question) *wire.Reply {
	n.took(now, n.ring.Depart(now, *q.View))
	return n.where(now, 0)
}

func (n *node) handleGet(now time.Time, q *wire.Question) *wire.Reply {
	p := n.k.Position(q.Key, q.Role.Index)
	if !n.ring.Plays(p, q.Role.Offset) {
		return n.notMine(now, p)
	}
	return n.version(q, !n.schedule.Has(p))
}

func (n *node) handlePut(now time.Time, q *wire.Question) (*wire.Reply, later) {
	p := n.k.Position(q.Key, q.Role.Index)
	if !n.ring.Plays(p, q.Role.Offset) {
		return n.notMine(now, p), nil
	}
	return n.put(now, q, !n.schedule.Has(p), true)
}

func (n *node) handlePrepare(now time.Time, q *wire.Question) *wire.Reply {
	p := n.k.Position(q.Key, q.Role.Index)
	if !n.ring.Plays(p, q.Role.Offset) {
		return n.notMine(now, p)
	}
	above, ok := n.storage.store.Prepare(now, q.Key, q.Write.Version)
	switch {
	case !ok && above.Counter == 0:
		return &wire.Reply{Kind: wire.SayFailed, Text: "busy"}
	case !ok:
		return n.outcome(home.Effects{Outcome: home.Lower, Version: above}, false)
	}
	return n.version(q, !n.schedule.Has(p))
}

func (n *node) handleFetch(q *wire.Question) *wire.Reply {
	return n.version(q, !n.ring.Near(n.k.Positions(q.Key), n.ring.Window()))
}

// handleOffer takes a write in whatever role, also one that this node may get soon.
func (n *node) handleOffer(now time.Time, q *wire.Question) (*wire.Reply, later) {
	positions := n.k.Positions(q.Key)
	if !n.ring.Near(positions, n.ring.Neighbourhood()) {
		return n.notMine(now, 0), nil
	}
	return n.put(now, q, !n.ring.Near(positions, n.ring.Window()), false)
}

func (n *node) handlePage(q *wire.Question) *wire.Reply {
	p := n.storage.page(q.Selection, q.Values)
	a := &wire.Reply{Kind: wire.SayPage, Backfilling: n.schedule.Lacking()}
	a.Entries, a.Start, a.More = p.Entries, p.Next, p.More
	return a
}

func (n *node) notMine(now time.Time, p ring.Slot) *wire.Reply {
	a := n.where(now, p)
	a.Kind = wire.SayNotMine
	return a
}

// version says what is stored of a key.
func (n *node) version(q *wire.Question, backfilling bool) *wire.Reply {
	a := &wire.Reply{Kind: wire.SayVersion, Backfilling: backfilling, Replicas: n.ring.Copies()}
	var err error
	if a.Write, a.Value, a.Whole, err = n.storage.read(q.Key, q.Brief); err != nil {
		return &wire.Reply{Kind: wire.SayFailed, Text: "the store cannot be read"}
	}
	return a
}

// outcome says what has come of a write.
func (n *node) outcome(e home.Effects, backfilling bool) *wire.Reply {
	return &wire.Reply{
		Kind: wire.SayOutcome, Backfilling: backfilling, Replicas: n.ring.Copies(),
		Outcome: e.Outcome, Write: home.Write{Version: e.Version},
	}
}

// put takes a write, if it is above what is stored.
func (n *node) put(now time.Time, q *wire.Question, backfilling, announced bool) (*wire.Reply, later) {
	failed := func(why string) *wire.Reply { return &wire.Reply{Kind: wire.SayFailed, Text: why} }
	if n.storage.failed != nil {
		return failed("the store has failed"), nil
	}
	if !q.Write.Deleted && q.Write.Hash != home.Hash(q.Value) {
		return failed("the version is of another value"), nil
	}
	e, synced, err := n.storage.put(now, home.Entry{Key: q.Key, Write: q.Write, Value: q.Value}, announced)
	if err != nil {
		return failed("the store does not take it"), nil
	}
	a := n.outcome(e, backfilling)
	if synced == nil {
		return a, nil
	}
	return nil, func(context.Context) *wire.Reply {
		if err := synced(); err != nil {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.storage.fail(err)
			return failed("the store does not take it")
		}
		return a
	}
}
