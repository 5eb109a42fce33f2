package chord

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
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
	around := t.ring.neighbours()
	t.mu.Unlock()
	t.greetAll(around) // so that those who were homes know that they are not any more

	t.mu.Lock()
	target, self := t.ring.window(), t.ring.self
	all := t.merging
	t.merging = false
	have := t.complete
	if all {
		have = reach{}
	}
	t.mu.Unlock()
	sources, err := t.sources(ctx)
	if err != nil {
		return err
	}
	var got, seen atomic.Uint64
	f := &fetches{under: map[string]version{}}
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
	for _, part := range t.k.missing(self.slot, have, target) {
		var wg sync.WaitGroup
		room := make(chan struct{}, fillWidth)
		for _, p := range sources {
			room <- struct{}{}
			wg.Go(func() {
				defer func() { <-room }()
				for a, err := range t.pages(ctx, p, selection{arc: part, dead: true}, false) {
					if err != nil {
						t.log.Info("cannot fill from a peer", "peer", p, "err", err)
						return
					}
					got.Add(uint64(t.merge(ctx, p, a.entries, f)))
					seen.Add(uint64(len(a.entries)))
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
	if t.ring.stores && t.ring.self == self {
		t.complete = target.common(t.ring.window())
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
		add(n.view.self.peer)
	}
	for _, n := range t.ring.hints.nodes {
		add(n.peer)
	}
	return all, nil
}

// fetches are the versions that are being fetched, so that each is once.
type fetches struct {
	mu    sync.Mutex
	under map[string]version
}

// begin tells whether an item is to be fetched, and notes that it is.
func (f *fetches) begin(key string, v version) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if v.compare(f.under[key]) <= 0 {
		return false
	}
	f.under[key] = v
	return true
}

func (f *fetches) end(key string, v version) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.under[key] == v {
		delete(f.under, key)
	}
}

// merge fetches those items from a peer that are newer than what is here, and returns how
// many there were. What is being fetched from another peer is left to that, but when all
// else is done, and it is still not here, fetched after all.
func (t *Table) merge(ctx context.Context, p peer.ID, entries []entry, f *fetches) (n int) {
	var wg sync.WaitGroup
	room := make(chan struct{}, fetchWidth)
	var left []entry
	for _, e := range entries {
		if !t.isNews(e) {
			continue
		}
		if !f.begin(e.key, e.write.version) {
			left = append(left, e)
			continue
		}
		n++
		room <- struct{}{}
		wg.Go(func() {
			defer func() { <-room }()
			defer f.end(e.key, e.write.version)
			if err := t.adopt(ctx, p, e); err != nil {
				t.log.Debug("cannot fetch", "peer", p, "key", e.key, "err", err)
			}
		})
	}
	wg.Wait()
	for _, e := range left {
		if t.isNews(e) {
			if err := t.adopt(ctx, p, e); err != nil {
				t.log.Debug("cannot fetch", "peer", p, "key", e.key, "err", err)
			}
		}
	}
	return n
}

// isNews tells whether an item is newer than what is here.
func (t *Table) isNews(e entry) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return e.write.compare(t.store.held(e.key)) > 0
}

// adopt takes an item that another peer holds.
func (t *Table) adopt(ctx context.Context, p peer.ID, e entry) error {
	q := &question{kind: askOffer, key: e.key, write: e.write}
	if !e.write.deleted {
		a, err := t.ask(ctx, p, &question{kind: askFetch, key: e.key})
		if err != nil {
			return err
		}
		if a.kind != sayHeld || a.write.counter == 0 || !a.whole && !a.write.deleted {
			return fmt.Errorf("%w: it has no value", errForm)
		}
		q.write, q.value = a.write, a.value
	}
	t.mu.Lock()
	a, wait := t.take(time.Now(), q, false, false)
	t.mu.Unlock()
	if wait != nil {
		a = wait(ctx)
	}
	if a.kind != sayDone {
		return fmt.Errorf("it is not stored: %s", a.text)
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
		if t.ring.stores && t.ring.window().within(t.complete) {
			keys = t.store.outside(t.ring.self.slot, t.ring.neighbourhood(), maxPage)
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
	it := t.store.get(key)
	if it == nil {
		t.mu.Unlock()
		return true
	}
	held := t.give(&question{key: key}, false)
	now, later := t.ring.homes(it.positions), t.ring.homesWithout(it.positions, string(t.id))
	t.mu.Unlock()
	if held.kind != sayHeld || len(later) == 0 {
		return false
	}
	isHome := func(hs []home, p string) bool {
		for _, h := range hs {
			if h.peer == p {
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
		if ahead && isHome(now, h.peer) {
			taken++
			continue
		}
		if !ahead { // most have it
			a, err := t.ask(ctx, peer.ID(h.peer), &question{kind: askFetch, key: key, brief: true})
			if err == nil && a.kind == sayHeld && !a.filling && a.write.compare(held.write.version) >= 0 {
				taken++
				continue
			}
		}
		q := &question{kind: askOffer, key: key, write: held.write, value: held.value}
		q.write.size = len(held.value)
		a, err := t.ask(ctx, peer.ID(h.peer), q)
		switch {
		case err != nil || a.kind != sayDone || a.outcome == full:
		case ahead || !a.filling:
			taken++
		default: // it is no home: it knows who is
			t.ask(ctx, peer.ID(h.peer), &question{kind: askFind, position: it.positions[h.index]})
		}
	}
	if taken < len(later) {
		return false
	}
	if !ahead {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.store.held(key) != held.write.version || t.near(it.positions, t.ring.window()) {
			return false // or those who have taken it might rely on this peer, as it does on them
		}
		t.forget([]string{key})
	}
	return true
}
