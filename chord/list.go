package chord

import (
	"cmp"
	"context"
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

// nodes returns the nodes of the ring, once around it, by what they tell of
// those that follow them. Only those that have answered are among them.
func (t *Table) nodes(ctx context.Context) ([]*wire.Reply, error) {
	first, err := t.anyNode(ctx)
	if err != nil {
		return nil, err
	}
	found := []*wire.Reply{first}
	origin := first.View.Self.Slot
	for at := first; ; at = found[len(found)-1] {
		ahead := slices.Clone(at.View.Succs)
		for i, n := range ahead {
			if t.k.Distance(origin, n.Slot) <= t.k.Distance(origin, at.View.Self.Slot) {
				ahead = ahead[:i] // once around
				break
			}
		}
		next := t.askAll(ctx, ahead)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if len(next) == 0 {
			return found, nil
		}
		found = append(found, next...)
	}
}

// anyNode returns one that stores, this one if it does.
func (t *Table) anyNode(ctx context.Context) (*wire.Reply, error) {
	t.mu.Lock()
	why, all := t.alone(), slices.Clone(t.ring.Known())
	if t.ring.Stores() {
		all = []ring.Node{t.ring.Self()}
	}
	t.mu.Unlock()
	if why != nil {
		return nil, why
	}
	for part := range slices.Chunk(all, ring.Copies) {
		if found := t.askAll(ctx, part); len(found) > 0 {
			return found[0], nil
		}
	}
	return nil, cmp.Or(ctx.Err(), ErrNoPeers)
}

// askAll asks nodes at the same time where they are, and returns those that answer, in
// order. It does not wait long.
func (t *Table) askAll(ctx context.Context, nodes []ring.Node) []*wire.Reply {
	ctx, cancel := context.WithTimeout(ctx, maxHedge)
	defer cancel()
	answers := make([]*wire.Reply, len(nodes))
	var wg sync.WaitGroup
	for i, n := range nodes {
		if t.doubts(peer.ID(n.Peer)) {
			continue
		}
		wg.Go(func() {
			a, err := t.ask(ctx, peer.ID(n.Peer), &wire.Question{Kind: wire.AskFind, Position: n.Slot})
			if err == nil && a.Kind == wire.SayView && a.View.Stores && a.View.Self.Slot == n.Slot {
				answers[i] = a
			}
		})
	}
	wg.Wait()
	return slices.DeleteFunc(answers, func(a *wire.Reply) bool { return a == nil })
}

// pages yields what a peer holds of a selection.
func (t *Table) pages(ctx context.Context, p peer.ID, sel home.Selection, values bool) iter.Seq2[*wire.Reply, error] {
	return func(yield func(*wire.Reply, error) bool) {
		for {
			a, err := t.ask(ctx, p, &wire.Question{Kind: wire.AskPage, Selection: sel, Values: values})
			if err == nil && (a.Kind != wire.SayPage || a.More && a.Start <= sel.Start && sel.Start != "") {
				err = fmt.Errorf("%w: no list from %s", errForm, p)
			}
			if !yield(a, err) || err != nil || !a.More {
				return
			}
			sel.Start = a.Start
		}
	}
}

// list yields the items of the ring, node after node, each from the owner of its first
// position; or if that has not got them all itself yet, from all that have one.
func (t *Table) list(ctx context.Context, prefix string, values bool) iter.Seq2[home.Entry, error] {
	return func(yield func(home.Entry, error) bool) {
		nodes, err := t.nodes(ctx)
		if err != nil {
			yield(home.Entry{}, err)
			return
		}
		for i, n := range nodes {
			own, next := t.k.Everywhere(), nodes[(i+1)%len(nodes)].View.Self
			if len(nodes) > 1 {
				own = ring.Arc{From: n.View.Self.Slot, Length: t.k.Distance(n.View.Self.Slot, next.Slot)}
			}
			sel := home.Selection{Arc: own, First: true, Prefix: prefix}
			partly := len(n.View.Succs) > 0 && n.View.Succs[0] != next // one between them does not answer
			for a, err := range t.pages(ctx, peer.ID(n.View.Self.Peer), sel, values) {
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
			if partly && !t.listAll(ctx, nodes, sel, values, yield) {
				return
			}
		}
	}
}

// listAll yields the items of an arc from whoever has them, the newest of each, in order.
// It is false if the loop is over.
func (t *Table) listAll(ctx context.Context, nodes []*wire.Reply, sel home.Selection, values bool, yield func(home.Entry, error) bool) bool {
	newest := map[string]home.Entry{}
	sel.Dead = true
	for _, n := range nodes {
		for a, err := range t.pages(ctx, peer.ID(n.View.Self.Peer), sel, values) {
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

// Items yields the keys that begin with a prefix, with all there is to know of them. They
// come from peer to peer around the ring, as fast as the loop takes them, each as one of
// its homes has it, in no order that means anything. What changes meanwhile is seen or
// not. The last error is that of Get, if it ended early.
func (t *Table) Items(ctx context.Context, prefix string) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		for e, err := range t.list(ctx, prefix, true) {
			var it Item
			if err == nil {
				it, err = (&held{e.Write, e.Value, nil}).item(e.Key)
			} else {
				err = fmt.Errorf("chord: items: %w", err)
			}
			if !yield(it, err) || err != nil {
				return
			}
		}
	}
}

// Keys yields the keys, as Items does.
func (t *Table) Keys(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for e, err := range t.list(ctx, "", false) {
			if err != nil {
				err = fmt.Errorf("chord: keys: %w", err)
			}
			if !yield(e.Key, err) || err != nil {
				return
			}
		}
	}
}

// All yields keys and values, as Items does. When the loop is over, err says whether it
// ended early.
func (t *Table) All(ctx context.Context) (all iter.Seq2[string, any], err func() error) {
	var early error
	return func(yield func(string, any) bool) {
		for it, e := range t.Items(ctx, "") {
			if early = e; e != nil || !yield(it.Key, it.Value) {
				return
			}
		}
	}, func() error { return early }
}

// Values yields the values, as Items does.
func (t *Table) Values(ctx context.Context) iter.Seq2[any, error] {
	return func(yield func(any, error) bool) {
		for it, err := range t.Items(ctx, "") {
			if !yield(it.Value, err) {
				return
			}
		}
	}
}

// Copy returns all keys and values, which have to fit into memory. Errors: those of Items.
func (t *Table) Copy(ctx context.Context) (map[string]any, error) {
	m := map[string]any{}
	for it, err := range t.Items(ctx, "") {
		if err != nil {
			return nil, err
		}
		m[it.Key] = it.Value
	}
	return m, nil
}
