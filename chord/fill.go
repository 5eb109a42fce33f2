package chord

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/chord/internal/home"
	"github.com/p2p-today/go2p/chord/internal/ring"
	"github.com/p2p-today/go2p/chord/internal/wire"
)

const (
	fillWidth  = 4  // peers that are asked at a time for what they have
	fetchWidth = 16 // values that are fetched, or handed over, at a time
)

// fill merges what others hold of the positions that this peer has become a home for, or
// of all that it is a home for if two rings have met. Until it is done it counts for
// nobody's majority. It is tried again when somebody could not be asked for a reason that
// may pass.
func (t *Table) fill() {
	err := t.fillOnce(t.ctx)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.filling = false
	now := time.Now()
	if err != nil && t.ctx.Err() == nil {
		t.log.Info("cannot fill yet", "err", err)
		t.due = now.Add(lossPause)
	}
	if now.Before(t.united) {
		t.merging, t.due = true, now.Add(2*lossPause)
	}
	t.reshape(now)
	t.tell()
	t.stir()
}

func (t *Table) fillOnce(ctx context.Context) error {
	t.mu.Lock()
	around := t.ring.Neighbours()
	t.mu.Unlock()
	t.greetAll(around) // so that those who were homes know that they are not any more

	t.mu.Lock()
	target, self := t.ring.Window(), t.ring.Self()
	all := t.merging
	t.merging = false
	have := t.complete
	if all {
		have = ring.Reach{}
	}
	t.mu.Unlock()
	sources, err := t.sources(ctx)
	if err != nil {
		return err
	}
	var got, seen atomic.Uint64
	f := &fetches{under: map[string]home.Version{}}
	told := time.Now()
	var mu sync.Mutex
	progress := func() {
		mu.Lock()
		defer mu.Unlock()
		if now := time.Now(); now.Sub(told) >= progressPause {
			told = now
			t.happen(Event{Kind: EventProgress, Task: TaskFill, Done: got.Load(), Total: seen.Load()})
		}
	}
	for _, part := range t.k.Missing(self.Slot, have, target) {
		var wg sync.WaitGroup
		room := make(chan struct{}, fillWidth)
		for _, p := range sources {
			room <- struct{}{}
			wg.Go(func() {
				defer func() { <-room }()
				for a, err := range t.pages(ctx, p, home.Selection{Arc: part, Dead: true}, false) {
					if err != nil {
						t.log.Info("cannot fill from a peer", "peer", p, "err", err)
						return
					}
					got.Add(uint64(t.merge(ctx, p, a.Entries, f)))
					seen.Add(uint64(len(a.Entries)))
					progress()
				}
			})
		}
		wg.Wait()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if t.failed != nil {
		return t.failed
	}
	if t.ring.Stores() && t.ring.Self() == self {
		t.complete = target.Common(t.ring.Window())
	}
	t.log.Info("filled", "keys", got.Load(), "of", seen.Load(), "peers", len(sources))
	t.happen(Event{Kind: EventProgress, Task: TaskFill, Done: got.Load(), Total: got.Load(), Over: true})
	return nil
}

// sources are the peers that may have been homes: who is in the ring, and all others of
// whom it was heard that they are, since it may not be one ring yet.
func (t *Table) sources(ctx context.Context) (all []peer.ID, err error) {
	nodes, err := t.nodes(ctx)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{string(t.id): true}
	add := func(p string) {
		if !seen[p] && !t.doubted[peer.ID(p)] {
			seen[p] = true
			all = append(all, peer.ID(p))
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, n := range nodes {
		add(n.View.Self.Peer)
	}
	for _, n := range t.ring.Known() {
		add(n.Peer)
	}
	return all, nil
}

// fetches are the versions that are being fetched, so that each is once.
type fetches struct {
	mu    sync.Mutex
	under map[string]home.Version
}

// begin tells whether an item is to be fetched, and notes that it is.
func (f *fetches) begin(key string, v home.Version) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if v.Compare(f.under[key]) <= 0 {
		return false
	}
	f.under[key] = v
	return true
}

func (f *fetches) end(key string, v home.Version) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.under[key] == v {
		delete(f.under, key)
	}
}

// merge fetches those items from a peer that are newer than what is here, and returns how
// many there were. What is being fetched from another peer is left to that, but when all
// else is done, and it is still not here, fetched after all.
func (t *Table) merge(ctx context.Context, p peer.ID, entries []home.Entry, f *fetches) (n int) {
	var wg sync.WaitGroup
	room := make(chan struct{}, fetchWidth)
	var left []home.Entry
	for _, e := range entries {
		if !t.isNews(e) {
			continue
		}
		if !f.begin(e.Key, e.Write.Version) {
			left = append(left, e)
			continue
		}
		n++
		room <- struct{}{}
		wg.Go(func() {
			defer func() { <-room }()
			defer f.end(e.Key, e.Write.Version)
			if err := t.adopt(ctx, p, e); err != nil {
				t.log.Debug("cannot fetch", "peer", p, "key", e.Key, "err", err)
			}
		})
	}
	wg.Wait()
	for _, e := range left {
		if t.isNews(e) {
			if err := t.adopt(ctx, p, e); err != nil {
				t.log.Debug("cannot fetch", "peer", p, "key", e.Key, "err", err)
			}
		}
	}
	return n
}

// isNews tells whether an item is newer than what is here.
func (t *Table) isNews(e home.Entry) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return e.Write.Compare(t.store.Version(e.Key)) > 0
}

// adopt takes an item that another peer holds.
func (t *Table) adopt(ctx context.Context, p peer.ID, e home.Entry) error {
	q := &wire.Question{Kind: wire.AskOffer, Key: e.Key, Write: e.Write}
	if !e.Write.Deleted {
		a, err := t.ask(ctx, p, &wire.Question{Kind: wire.AskFetch, Key: e.Key})
		if err != nil {
			return err
		}
		if a.Kind != wire.SayVersion || a.Write.Counter == 0 || !a.Whole && !a.Write.Deleted {
			return fmt.Errorf("%w: it has no value", errForm)
		}
		q.Write, q.Value = a.Write, a.Value
	}
	t.mu.Lock()
	a, wait := t.take(time.Now(), q, false, false)
	t.mu.Unlock()
	if wait != nil {
		a = wait(ctx)
	}
	if a.Kind != wire.SayOutcome {
		return fmt.Errorf("it is not stored: %s", a.Text)
	}
	return nil
}

// drain gives what this peer is no home for any more to those who are, and then forgets
// it. It goes on until there is nothing left, or nobody takes it.
func (t *Table) drain(ctx context.Context) {
	defer func() {
		t.mu.Lock()
		t.drained = time.Now()
		t.mu.Unlock()
	}()
	for {
		t.mu.Lock()
		var keys []string
		if t.ring.Stores() && t.ring.Window().Within(t.complete) {
			keys = t.store.Outside(t.ring.Self().Slot, t.ring.Neighbourhood(), home.MaxPage)
		}
		t.mu.Unlock()
		if len(keys) == 0 || t.handOver(ctx, keys, false, func(uint64) {}) < len(keys) {
			return
		}
	}
}

// handOver gives items to their homes, and forgets them when those have them; to all of
// them, or if it is ahead of time to those that will be homes without this peer, which
// keeps its own. It returns how many were taken.
func (t *Table) handOver(ctx context.Context, keys []string, ahead bool, progress func(done uint64)) int {
	var wg sync.WaitGroup
	var given atomic.Uint64
	room := make(chan struct{}, fetchWidth)
	for _, key := range keys {
		room <- struct{}{}
		wg.Go(func() {
			defer func() { <-room }()
			if t.giveAway(ctx, key, ahead) {
				progress(given.Add(1))
			}
		})
	}
	wg.Wait()
	return int(given.Load())
}

// giveAway hands over one item, and tells whether it was taken.
func (t *Table) giveAway(ctx context.Context, key string, ahead bool) bool {
	t.mu.Lock()
	if _, ok := t.store.Get(key); !ok {
		t.mu.Unlock()
		return true
	}
	held := t.give(&wire.Question{Key: key}, false)
	positions := t.k.Positions(key)
	now, later := t.ring.Replicas(positions), t.ring.ReplicasWithout(positions, string(t.id))
	t.mu.Unlock()
	if held.Kind != wire.SayVersion || len(later) == 0 {
		return false
	}
	isHome := func(hs []ring.Replica, p string) bool {
		for _, h := range hs {
			if h.Peer == p {
				return true
			}
		}
		return false
	}
	if !ahead && isHome(now, string(t.id)) {
		return false // after all
	}
	taken := 0
	for _, h := range later {
		if ahead && isHome(now, h.Peer) {
			taken++
			continue
		}
		if !ahead { // most have it
			a, err := t.ask(ctx, peer.ID(h.Peer), &wire.Question{Kind: wire.AskFetch, Key: key, Brief: true})
			if err == nil && a.Kind == wire.SayVersion && !a.Backfilling && a.Write.Compare(held.Write.Version) >= 0 {
				taken++
				continue
			}
		}
		q := &wire.Question{Kind: wire.AskOffer, Key: key, Write: held.Write, Value: held.Value}
		q.Write.Size = len(held.Value)
		a, err := t.ask(ctx, peer.ID(h.Peer), q)
		switch {
		case err != nil || a.Kind != wire.SayOutcome || a.Outcome == home.Full:
		case ahead || !a.Backfilling:
			taken++
		default: // it is no home: it knows who is
			t.ask(ctx, peer.ID(h.Peer), &wire.Question{Kind: wire.AskFind, Position: positions[h.Index]})
		}
	}
	if taken < len(later) {
		return false
	}
	if !ahead {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.store.Version(key) != held.Write.Version || t.near(positions, t.ring.Window()) {
			return false // or those who have taken it might rely on this peer, as it does on them
		}
		t.forget([]string{key})
	}
	return true
}
