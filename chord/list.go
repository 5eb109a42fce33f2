package chord

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"
)

// nodes returns the nodes of the ring in the order of their slots, by what they tell of
// those that follow them. Only those that have answered are among them.
func (t *Table) nodes(ctx context.Context) ([]*reply, error) {
	t.mu.Lock()
	why := t.alone()
	l := newLookup(t.k, 0, node{})
	start, ok := t.ring.next(0)
	t.mu.Unlock()
	if why != nil {
		return nil, why
	}
	if !ok {
		return nil, ErrNoPeers
	}
	l.at = start
	first, err := t.lookup(ctx, l)
	if err != nil {
		return nil, err
	}
	found := []*reply{first}
	origin := first.view.self.slot
	for at := first; ; {
		next := (*reply)(nil)
		for _, n := range at.view.succs {
			if t.k.distance(origin, n.slot) <= t.k.distance(origin, at.view.self.slot) {
				return found, nil // once around
			}
			a, err := t.ask(ctx, peer.ID(n.peer), &question{kind: askFind, position: n.slot})
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if err == nil && a.kind == sayView && a.view.stores && a.view.self.slot == n.slot {
				next = a
				break
			}
		}
		if next == nil {
			return found, nil
		}
		found = append(found, next)
		at = next
	}
}

// pages yields what a peer holds of a selection.
func (t *Table) pages(ctx context.Context, p peer.ID, sel selection, values bool) iter.Seq2[*reply, error] {
	return func(yield func(*reply, error) bool) {
		for {
			a, err := t.ask(ctx, p, &question{kind: askPage, sel: sel, values: values})
			if err == nil && (a.kind != sayPage || a.more && a.start <= sel.start && sel.start != "") {
				err = fmt.Errorf("%w: no list from %s", errForm, p)
			}
			if !yield(a, err) || err != nil || !a.more {
				return
			}
			sel.start = a.start
		}
	}
}

// list yields the items of the ring, node after node, each from the owner of its first
// position; or if that has not got them all itself yet, from all that have one.
func (t *Table) list(ctx context.Context, prefix string, values bool) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		nodes, err := t.nodes(ctx)
		if err != nil {
			yield(entry{}, err)
			return
		}
		for i, n := range nodes {
			own := t.k.everywhere()
			if len(nodes) > 1 {
				own = arc{n.view.self.slot, t.k.distance(n.view.self.slot, nodes[(i+1)%len(nodes)].view.self.slot)}
			}
			sel := selection{arc: own, first: true, prefix: prefix}
			partly := false
			for a, err := range t.pages(ctx, peer.ID(n.view.self.peer), sel, values) {
				if ctx.Err() != nil {
					yield(entry{}, ctx.Err())
					return
				}
				if partly = partly || err != nil || a.filling; partly {
					break
				}
				for _, e := range a.entries {
					if !yield(e, nil) {
						return
					}
				}
				sel.start = a.start
			}
			if partly && !t.listAll(ctx, nodes, sel, values, yield) {
				return
			}
		}
	}
}

// listAll yields the items of an arc from whoever has them, the newest of each, in order.
// It is false if the loop is over.
func (t *Table) listAll(ctx context.Context, nodes []*reply, sel selection, values bool, yield func(entry, error) bool) bool {
	newest := map[string]entry{}
	sel.dead = true
	for _, n := range nodes {
		for a, err := range t.pages(ctx, peer.ID(n.view.self.peer), sel, values) {
			if err != nil {
				break
			}
			for _, e := range a.entries {
				if was, ok := newest[e.key]; !ok || e.write.compare(was.write.version) > 0 {
					newest[e.key] = e
				}
			}
		}
	}
	if ctx.Err() != nil {
		return yield(entry{}, ctx.Err())
	}
	for _, key := range slices.Sorted(maps.Keys(newest)) {
		if e := newest[key]; !e.write.deleted && !yield(e, nil) {
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
				it, err = (&held{e.write, e.value, nil}).item(e.key)
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
			if !yield(e.key, err) || err != nil {
				return
			}
		}
	}
}

// All yields keys and values, as Items does. If err is not nil when the loop is over, it
// ended early for that reason.
func (t *Table) All(ctx context.Context, err *error) iter.Seq2[string, any] {
	return func(yield func(string, any) bool) {
		for it, e := range t.Items(ctx, "") {
			if e != nil {
				*err = e
				return
			}
			if !yield(it.Key, it.Value) {
				return
			}
		}
	}
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
