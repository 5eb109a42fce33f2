package chord

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/chord/internal/home"
	"github.com/p2p-today/go2p/chord/internal/ring"
	"github.com/p2p-today/go2p/chord/internal/wire"
)

const (
	sourceWidth   = 4                      // peers that are asked at a time for what they store
	valueWidth    = 16                     // values that are fetched, or handed off, at a time
	progressPause = 100 * time.Millisecond // between two reports, at least
)

// A transfer moves keys between this node and others: here when this node has become a
// replica of them (backfill), and away when it is no replica any more (hand-off). It has no
// state of its own; the node's schedule knows what is going on.
type transfer struct {
	node   *node
	client *client
	walker *walker
	log    *slog.Logger
	emit   func(Event)
}

// backfill merges what others store of the positions that this node has become a replica
// for, or of all its positions if two rings have met. Until it is done the node counts for
// nobody's majority.
func (t *transfer) backfill(ctx context.Context) {
	err := t.backfillOnce(ctx)
	if err != nil && ctx.Err() == nil {
		t.log.Info("cannot backfill yet", "err", err)
	}
	t.node.backfilled(err != nil && ctx.Err() == nil)
}

func (t *transfer) backfillOnce(ctx context.Context) error {
	t.client.greetAll(t.node.neighboursOnRing()) // so that former replicas know that they are none any more
	b := t.node.beginBackfill()
	sources, err := t.sources(ctx)
	if err != nil {
		return err
	}
	f := &fetches{under: map[string]home.Version{}}
	var got, seen atomic.Uint64
	report := t.paced(func() Event {
		return Event{Kind: EventProgress, Task: TaskBackfill, Done: got.Load(), Total: seen.Load()}
	})
	for _, part := range t.node.k.Missing(b.Self.Slot, b.Have, b.Target) {
		inParallel(sourceWidth, sources, func(p peer.ID) {
			for a, err := range t.walker.pages(ctx, p, home.Selection{Arc: part, Dead: true}, false) {
				if err != nil {
					t.log.Info("cannot backfill from a peer", "peer", p, "err", err)
					return
				}
				got.Add(uint64(t.merge(ctx, p, a.Entries, f)))
				seen.Add(uint64(len(a.Entries)))
				report()
			}
		})
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := t.node.completed(b); err != nil {
		return err
	}
	t.log.Info("backfilled", "keys", got.Load(), "of", seen.Load(), "peers", len(sources))
	t.emit(Event{Kind: EventProgress, Task: TaskBackfill, Done: got.Load(), Total: got.Load(), Over: true})
	return nil
}

// paced returns what reports an event, unless one was reported a moment ago.
func (t *transfer) paced(event func() Event) func() {
	var mu sync.Mutex
	told := time.Now()
	return func() {
		mu.Lock()
		defer mu.Unlock()
		if now := time.Now(); now.Sub(told) >= progressPause {
			told = now
			t.emit(event())
		}
	}
}

// inParallel calls f for each of some things, for so many at a time, and waits.
func inParallel[T any](width int, all []T, f func(T)) {
	var wg sync.WaitGroup
	room := make(chan struct{}, width)
	for _, one := range all {
		room <- struct{}{}
		wg.Go(func() {
			defer func() { <-room }()
			f(one)
		})
	}
	wg.Wait()
}

// sources returns the peers that may have been replicas: those in the ring, and all others
// of which it was heard that they are, since it may not be one ring yet.
func (t *transfer) sources(ctx context.Context) (all []peer.ID, err error) {
	views, err := t.walker.nodes(ctx)
	if err != nil {
		return nil, err
	}
	var nodes []ring.Node
	for _, v := range views {
		nodes = append(nodes, v.Self)
	}
	seen := map[peer.ID]bool{t.node.id: true}
	for _, n := range append(nodes, t.node.cached()...) {
		if p := peer.ID(n.Peer); !seen[p] && !t.client.isSuspect(p) {
			seen[p] = true
			all = append(all, p)
		}
	}
	return all, nil
}

// fetches are the versions that are being fetched, so that each is once. The lock guards
// the map.
type fetches struct {
	mu    sync.Mutex
	under map[string]home.Version
}

// begin reports whether an entry is to be fetched, and notes that it is.
func (f *fetches) begin(e home.Entry) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e.Write.Compare(f.under[e.Key]) <= 0 {
		return false
	}
	f.under[e.Key] = e.Write.Version
	return true
}

func (f *fetches) end(e home.Entry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.under[e.Key] == e.Write.Version {
		delete(f.under, e.Key)
	}
}

// merge fetches those entries from a peer that are newer than what is here, and returns how
// many there were. An entry that is being fetched from another peer is left to that one. If
// it is still not here when all else is done, it is fetched after all.
func (t *transfer) merge(ctx context.Context, p peer.ID, entries []home.Entry, f *fetches) int {
	fetch := func(e home.Entry) {
		if err := t.fetch(ctx, p, e); err != nil {
			t.log.Debug("cannot fetch", "peer", p, "key", e.Key, "err", err)
		}
	}
	var mine, left []home.Entry
	for _, e := range entries {
		switch {
		case !t.node.lacks(e):
		case f.begin(e):
			mine = append(mine, e)
		default:
			left = append(left, e)
		}
	}
	inParallel(valueWidth, mine, func(e home.Entry) {
		defer f.end(e)
		fetch(e)
	})
	for _, e := range left {
		if t.node.lacks(e) {
			fetch(e)
		}
	}
	return len(mine)
}

// fetch stores an entry that another peer stores.
func (t *transfer) fetch(ctx context.Context, p peer.ID, e home.Entry) error {
	q := &wire.Question{Kind: wire.AskOffer, Key: e.Key, Write: e.Write}
	if !e.Write.Deleted {
		a, err := t.client.ask(ctx, p, &wire.Question{Kind: wire.AskFetch, Key: e.Key})
		if err != nil {
			return err
		}
		if a.Kind != wire.SayVersion || a.Write.Counter == 0 || !a.Whole && !a.Write.Deleted {
			return fmt.Errorf("%w: it has no value", errMalformed)
		}
		q.Write, q.Value = a.Write, a.Value
	}
	if a := t.node.accept(ctx, q); a.Kind != wire.SayOutcome {
		return fmt.Errorf("it is not stored: %s", a.Text)
	}
	return nil
}

// handOff gives keys that this node is no replica of any more to those that are, and then
// forgets them. It goes on until none is left, or some are not taken.
func (t *transfer) handOff(ctx context.Context) {
	defer t.node.handedOff()
	for {
		keys := t.node.foreignKeys()
		if len(keys) == 0 || t.give(ctx, keys, false, func(uint64) {}) < len(keys) {
			return
		}
	}
}

// give gives keys to their replicas, and forgets them when those have them. Ahead of a
// departure it gives them to those that will be replicas without this node, which keeps its
// own. It returns how many keys were taken.
func (t *transfer) give(ctx context.Context, keys []string, ahead bool, progress func(done uint64)) int {
	var given atomic.Uint64
	inParallel(valueWidth, keys, func(key string) {
		if t.giveKey(ctx, key, ahead) {
			progress(given.Add(1))
		}
	})
	return int(given.Load())
}

// giveKey gives one key, and reports whether it was taken.
func (t *transfer) giveKey(ctx context.Context, key string, ahead bool) bool {
	g, ok := t.node.gift(key)
	if !ok {
		return true // it is not here any more
	}
	if g.version.Kind != wire.SayVersion || len(g.later) == 0 {
		return false
	}
	if !ahead && isReplica(g.now, string(t.node.id)) {
		return false // after all
	}
	taken := 0
	for _, r := range g.later {
		if ahead && isReplica(g.now, r.Peer) || t.offer(ctx, key, g.version, r, ahead) {
			taken++
		}
	}
	return taken == len(g.later) && (ahead || t.node.forgetForeign(key, g.version.Write.Version))
}

// offer gives one replica a key, and reports whether it has it.
func (t *transfer) offer(ctx context.Context, key string, version *wire.Reply, r ring.Replica, ahead bool) bool {
	p := peer.ID(r.Peer)
	if !ahead { // most have it
		a, err := t.client.ask(ctx, p, &wire.Question{Kind: wire.AskFetch, Key: key, Brief: true})
		if err == nil && a.Kind == wire.SayVersion && !a.Backfilling && a.Write.Compare(version.Write.Version) >= 0 {
			return true
		}
	}
	q := &wire.Question{Kind: wire.AskOffer, Key: key, Write: version.Write, Value: version.Value}
	q.Write.Size = len(version.Value)
	a, err := t.client.ask(ctx, p, q)
	switch {
	case err != nil || a.Kind != wire.SayOutcome || a.Outcome == home.Full:
		return false
	case ahead || !a.Backfilling:
		return true
	}
	// It is no replica. What it answers tells who is.
	t.client.ask(ctx, p, &wire.Question{Kind: wire.AskFind, Position: t.node.k.Position(key, r.Index)})
	return false
}

func isReplica(all []ring.Replica, p string) bool {
	return slices.ContainsFunc(all, func(r ring.Replica) bool { return r.Peer == p })
}
