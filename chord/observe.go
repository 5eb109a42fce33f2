package chord

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"slices"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/chord/internal/wire"
	"github.com/p2p-today/go2p/internal/fanout"
)

// Events yields what happens from the call on, until the context ends, the table is closed
// (the last error is then ErrClosed) or the loop is left. A loop that is more than 1024
// events behind ends with ErrLagged. The sequence can be ranged over once.
func (t *Table) Events(ctx context.Context) iter.Seq2[Event, error] {
	events := t.events.Follow(ctx, func(Event) bool { return true })
	return func(yield func(Event, error) bool) {
		for ev, err := range events {
			if errors.Is(err, fanout.ErrClosed) {
				err = ErrClosed
			}
			if !yield(ev, err) {
				return
			}
		}
	}
}

// Status returns a snapshot, which is the caller's.
func (t *Table) Status() Status {
	s := Status{K: t.opts.K, Refused: t.node.neighbours.refusal(), Repairs: t.coordinator.repairs.Load()}
	t.node.status(&s)
	return s
}

// Ring asks the peers that store, once around the ring, what they have. Errors: those of
// Get.
func (t *Table) Ring(ctx context.Context) (Ring, error) {
	ctx, cancel := limited(ctx)
	defer cancel()
	views, err := t.walker.nodes(ctx)
	if err != nil {
		return Ring{}, err
	}
	k := t.node.k
	r := Ring{K: int(k), Nodes: make([]Node, len(views)), Fingers: t.node.fingers()}
	var wg sync.WaitGroup
	for i, v := range views {
		p := peer.ID(v.Self.Peer)
		n := &r.Nodes[i]
		*n = Node{Peer: p.String(), Slot: uint64(v.Self.Slot), Self: p == t.node.id, Share: 1}
		if len(views) > 1 {
			next := views[(i+1)%len(views)].Self.Slot
			n.Share = float64(k.Distance(v.Self.Slot, next)) / float64(uint64(1)<<k)
		}
		for _, s := range v.Succs {
			n.Successors = append(n.Successors, peer.ID(s.Peer).String())
		}
		wg.Go(func() {
			if a, err := t.client.ask(ctx, p, &wire.Question{Kind: wire.AskCount}); err == nil && a.Kind == wire.SayCount {
				n.Keys, n.Backfilling = a.Count, a.Backfilling
			}
		})
	}
	wg.Wait()
	slices.SortFunc(r.Nodes, func(a, b Node) int { return cmp.Compare(a.Slot, b.Slot) })
	return r, nil
}
