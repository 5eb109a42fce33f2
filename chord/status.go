package chord

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/internal/metrics"

	"github.com/p2p-today/go2p/chord/internal/wire"
)

// A Status is a snapshot of this peer's part in the table.
type Status struct {
	K        int
	Stores   bool
	Slot     uint64 // if it stores
	Keys     int    // stored here
	Bytes    int64
	MaxBytes int64
	Known    int   // peers that store, or did
	Upkept   int   // peers that it keeps track of, if it stores
	Filling  bool  // it has not got all that it is a home for
	Refused  error // a *RefusedError if all neighbours have another k
	Failed   error // why nothing is stored any more

	Questions uint64 // of other peers
	Repairs   uint64 // homes that reads of this peer have given what they lacked
}

// Status returns a snapshot, which is the caller's.
func (t *Table) Status() Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	used, limit := t.store.Bytes()
	return Status{
		K: int(t.k), Stores: t.ring.Stores(), Slot: uint64(t.ring.Self().Slot), Keys: t.store.Alive(), Bytes: used,
		MaxBytes: limit, Known: len(t.ring.Known()), Filling: t.isFilling(), Refused: t.alone(), Failed: t.failed,
		Upkept: t.ring.Upkept(), Questions: t.stats.questions.Load(), Repairs: t.stats.repairs.Load(),
	}
}

// isFilling tells whether something is missing here. The caller holds mu.
func (t *Table) isFilling() bool { return t.ring.Stores() && !t.ring.Window().Within(t.complete) }

// A Node is a peer that stores.
type Node struct {
	Peer    string
	Slot    uint64
	Self    bool
	Keys    int  // stored there
	Filling bool // it has not got all that it is a home for
	Share   float64
	Behind  []string // the peers that it knows to follow it
}

// A Ring is who stores, in the order of the slots.
type Ring struct {
	K       int
	Nodes   []Node
	Fingers []Finger // of this peer, if it stores
}

// A Finger is whom a peer knows at or after the slot 2^X steps from its own.
type Finger struct {
	X    int
	Goal uint64
	Slot uint64
	Peer string
}

// Ring asks the peers that store, once around the ring, what they have. Errors: those of
// Get.
func (t *Table) Ring(ctx context.Context) (Ring, error) {
	ctx, cancel := t.limit(ctx)
	defer cancel()
	nodes, err := t.nodes(ctx)
	if err != nil {
		return Ring{}, err
	}
	ring := Ring{K: int(t.k), Nodes: make([]Node, len(nodes))}
	var wg sync.WaitGroup
	for i, n := range nodes {
		p := peer.ID(n.View.Self.Peer)
		next := nodes[(i+1)%len(nodes)].View.Self.Slot
		ring.Nodes[i] = Node{Peer: p.String(), Slot: uint64(n.View.Self.Slot), Self: p == t.id, Share: 1}
		if len(nodes) > 1 {
			ring.Nodes[i].Share = float64(t.k.Distance(n.View.Self.Slot, next)) / float64(uint64(1)<<t.k)
		}
		for _, s := range n.View.Succs {
			ring.Nodes[i].Behind = append(ring.Nodes[i].Behind, peer.ID(s.Peer).String())
		}
		wg.Go(func() {
			if a, err := t.ask(ctx, p, &wire.Question{Kind: wire.AskCount}); err == nil && a.Kind == wire.SayCount {
				ring.Nodes[i].Keys, ring.Nodes[i].Filling = a.Count, a.Backfilling
			}
		})
	}
	wg.Wait()
	slices.SortFunc(ring.Nodes, func(a, b Node) int { return cmp.Compare(a.Slot, b.Slot) })
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ring.Stores() {
		for x, n := range t.ring.Fingers() {
			goal := t.k.At(t.ring.Self().Slot, 1<<x)
			ring.Fingers = append(ring.Fingers, Finger{x, uint64(goal), uint64(n.Slot), peer.ID(n.Peer).String()})
		}
	}
	return ring, nil
}

// stats counts what a table does.
type stats struct{ questions, repairs atomic.Uint64 }

// offer returns the counters and what else can be measured.
func (t *Table) offer() *metrics.Set {
	gauge := func(f func() float64) func() float64 {
		return func() float64 {
			t.mu.Lock()
			defer t.mu.Unlock()
			return f()
		}
	}
	s := metrics.New("chord", t.mesh.Network())
	s.Counter("questions_total", "Questions of other peers.", &t.stats.questions)
	s.Counter("repairs_total", "Homes that were given what they lacked, by reads of this peer.", &t.stats.repairs)
	s.Gauge("keys", "Keys that are stored here.", gauge(func() float64 { return float64(t.store.Alive()) }))
	s.Gauge("bytes", "What counts towards the limit.", gauge(func() float64 { used, _ := t.store.Bytes(); return float64(used) }))
	s.Gauge("known_peers", "Peers that store, or did.", gauge(func() float64 { return float64(len(t.ring.Known())) }))
	return s
}
