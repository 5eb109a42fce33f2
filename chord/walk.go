package chord

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/chord/internal/home"
	"github.com/p2p-today/go2p/chord/internal/ring"
	"github.com/p2p-today/go2p/chord/internal/wire"
)

// A walker finds nodes, and what they store, by asking one after the other. It has no state
// of its own.
type walker struct {
	k      ring.Circle
	node   *node
	client *client
}

// errAstray says that a lookup leads nowhere.
var errAstray = errors.New("no node that is nearer answers")

// lookup finds the owner of a position.
func (w *walker) lookup(ctx context.Context, l *ring.Lookup) (*wire.Reply, error) {
	for {
		p := peer.ID(l.At.Peer)
		if w.client.isSuspect(p) && l.Skip() {
			continue
		}
		a, err := w.client.ask(ctx, p, &wire.Question{Kind: wire.AskFind, Position: l.Position})
		more := false
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil, a.Kind != wire.SayView:
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

// nodes returns the views of the nodes that answer, once around the ring, each found by the
// successors of those before it. Errors: a *RefusedError, ErrNoPeers, or the context's.
func (w *walker) nodes(ctx context.Context) ([]*ring.View, error) {
	first, err := w.anyNode(ctx)
	if err != nil {
		return nil, err
	}
	found := []*ring.View{first}
	for at := first; ; at = found[len(found)-1] {
		ahead := slices.Clone(at.Succs)
		for i, n := range ahead {
			if w.k.Distance(first.Self.Slot, n.Slot) <= w.k.Distance(first.Self.Slot, at.Self.Slot) {
				ahead = ahead[:i] // once around
				break
			}
		}
		next := w.askAll(ctx, ahead)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if len(next) == 0 {
			return found, nil
		}
		found = append(found, next...)
	}
}

// anyNode returns the view of a node that stores, of this one if it does.
func (w *walker) anyNode(ctx context.Context) (*ring.View, error) {
	if err := w.node.neighbours.refusal(); err != nil {
		return nil, err
	}
	for part := range slices.Chunk(w.node.known(), ring.Copies) {
		if found := w.askAll(ctx, part); len(found) > 0 {
			return found[0], nil
		}
	}
	return nil, cmp.Or(ctx.Err(), ErrNoPeers)
}

// askAll asks nodes at the same time where they are, for maxHedge at most. It returns the
// views of those that are where they should be, in order.
func (w *walker) askAll(ctx context.Context, nodes []ring.Node) []*ring.View {
	ctx, cancel := context.WithTimeout(ctx, maxHedge)
	defer cancel()
	views := make([]*ring.View, len(nodes))
	var wg sync.WaitGroup
	for i, n := range nodes {
		if w.client.isSuspect(peer.ID(n.Peer)) {
			continue
		}
		wg.Go(func() {
			a, err := w.client.ask(ctx, peer.ID(n.Peer), &wire.Question{Kind: wire.AskFind, Position: n.Slot})
			if err == nil && a.Kind == wire.SayView && a.View.Stores && a.View.Self.Slot == n.Slot {
				views[i] = a.View
			}
		})
	}
	wg.Wait()
	return slices.DeleteFunc(views, func(v *ring.View) bool { return v == nil })
}

// pages yields the pages of what a peer stores of a selection.
func (w *walker) pages(ctx context.Context, p peer.ID, sel home.Selection, values bool) iter.Seq2[*wire.Reply, error] {
	return func(yield func(*wire.Reply, error) bool) {
		for {
			a, err := w.client.ask(ctx, p, &wire.Question{Kind: wire.AskPage, Selection: sel, Values: values})
			if err == nil && (a.Kind != wire.SayPage || a.More && a.Start <= sel.Start && sel.Start != "") {
				err = fmt.Errorf("%w: no list from %s", errMalformed, p)
			}
			if !yield(a, err) || err != nil || !a.More {
				return
			}
			sel.Start = a.Start
		}
	}
}

// entries yields the entries of the ring, node after node, each from the owner of its first
// position. Where the owner is backfilling, or does not answer, they come from all nodes.
func (w *walker) entries(ctx context.Context, prefix string, values bool) iter.Seq2[home.Entry, error] {
	return func(yield func(home.Entry, error) bool) {
		nodes, err := w.nodes(ctx)
		if err != nil {
			yield(home.Entry{}, err)
			return
		}
		for i, n := range nodes {
			own, next := w.k.Everywhere(), nodes[(i+1)%len(nodes)].Self
			if len(nodes) > 1 {
				own = ring.Arc{From: n.Self.Slot, Length: w.k.Distance(n.Self.Slot, next.Slot)}
			}
			sel := home.Selection{Arc: own, First: true, Prefix: prefix}
			partly := len(n.Succs) > 0 && n.Succs[0] != next // one between them does not answer
			for a, err := range w.pages(ctx, peer.ID(n.Self.Peer), sel, values) {
				if ctx.Err() != nil {
					yield(home.Entry{}, ctx.Err())
					return
				}
				if partly || err != nil || a.Backfilling {
					partly = true
					break
				}
				for _, e := range a.Entries {
					if !yield(e, nil) {
						return
					}
				}
				sel.Start = a.Start
			}
			if partly && !w.everyones(ctx, nodes, sel, values, yield) {
				return
			}
		}
	}
}

// everyones yields the entries of a selection from all nodes, the newest of each key, in
// order. It reports whether the caller goes on.
func (w *walker) everyones(
	ctx context.Context, nodes []*ring.View, sel home.Selection, values bool, yield func(home.Entry, error) bool,
) bool {
	newest := map[string]home.Entry{}
	sel.Dead = true
	for _, n := range nodes {
		for a, err := range w.pages(ctx, peer.ID(n.Self.Peer), sel, values) {
			if err != nil {
				break
			}
			for _, e := range a.Entries {
				if was, ok := newest[e.Key]; !ok || e.Write.Compare(was.Write.Version) > 0 {
					newest[e.Key] = e
				}
			}
		}
	}
	if ctx.Err() != nil {
		return yield(home.Entry{}, ctx.Err())
	}
	for _, key := range slices.Sorted(maps.Keys(newest)) {
		if e := newest[key]; !e.Write.Deleted && !yield(e, nil) {
			return false
		}
	}
	return true
}
