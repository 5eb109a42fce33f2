package chord

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/chord/internal/home"
	"github.com/p2p-today/go2p/chord/internal/ring"
	"github.com/p2p-today/go2p/chord/internal/wire"
)

const (
	meetTime   = 2 * time.Second // for neighbours to say who stores, before a ring is begun
	claimPause = 200 * time.Millisecond
)

// Join makes this peer store: it takes a slot of the ring, and then, in the background,
// what it is a home for. If nobody stores yet it begins the ring. It is no error if it
// stores already. Without a deadline in the context it takes at most 10 s.
//
// Errors: ErrRingFull if all slots are taken, a *RefusedError if all neighbours have
// another k, ErrNoMajority if the ring does not answer, ErrClosed, or the context's.
func (t *Table) Join(ctx context.Context) error {
	ctx, cancel := t.limit(ctx)
	defer cancel()
	t.joinMu.Lock()
	defer t.joinMu.Unlock()
	if err := t.join(ctx); err != nil {
		return fmt.Errorf("chord: join: %w", err)
	}
	return nil
}

func (t *Table) join(ctx context.Context) error {
	if t.stores() {
		return nil
	}
	for {
		meet, cancel := context.WithTimeout(ctx, meetTime)
		nobody := t.AwaitPeers(meet)
		cancel()
		if errors.Is(nobody, ErrRefused) || errors.Is(nobody, ErrClosed) {
			return nobody
		} else if ctx.Err() != nil {
			return ctx.Err()
		}
		err := t.tryJoin(ctx, nobody != nil)
		if err == nil || errors.Is(err, ErrRingFull) || errors.Is(err, ErrRefused) || errors.Is(err, ErrClosed) {
			return err
		}
		select {
		case <-time.After(claimPause):
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ErrNoMajority, err)
		case <-t.ctx.Done():
			return ErrClosed
		}
	}
}

func (t *Table) stores() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ring.Stores()
}

// tryJoin claims slot after slot until one is granted. If it may, and nobody is known who
// could grant one, it begins a ring.
func (t *Table) tryJoin(ctx context.Context, mayFound bool) error {
	for s := range t.k.Probe(string(t.id)) {
		t.mu.Lock()
		start, known := t.ring.Next(s)
		closed := t.closed
		if !known && mayFound && !closed {
			t.enter(s, nil)
		}
		t.mu.Unlock()
		switch {
		case closed:
			return ErrClosed
		case !known && !mayFound:
			return errAstray
		case !known:
			t.announce()
			return nil
		}
		at, err := t.lookup(ctx, ring.NewLookup(t.k, s, start))
		if err != nil {
			return err
		}
		if at.View.Self.Slot == s {
			continue
		}
		a, err := t.ask(ctx, peer.ID(at.View.Self.Peer), &wire.Question{Kind: wire.AskClaim, Position: s})
		switch {
		case err != nil:
			return err
		case a.Kind != wire.SayClaim:
			return fmt.Errorf("%s does not answer a claim", peer.ID(at.View.Self.Peer))
		case a.Verdict == ring.Granted:
			t.mu.Lock()
			t.enter(s, a.View)
			t.mu.Unlock()
			t.announce()
			return nil
		case a.Verdict != ring.Taken:
			return fmt.Errorf("slot %d: somebody else claims one", s)
		}
	}
	return ErrRingFull
}

// enter takes a slot, that which another peer has granted or else the first of all. The
// caller holds mu.
func (t *Table) enter(s ring.Slot, by *ring.View) {
	now := time.Now()
	t.complete, t.calm = ring.Reach{}, 0
	if by == nil {
		t.ring.Found(now, s, rand.Uint64())
		t.complete = t.k.Everything()
	} else {
		t.effects(now, t.ring.Enter(now, s, *by))
	}
	t.due = now
	t.log.Info("stores", "slot", s)
	t.happen(Event{Kind: EventJoined})
	t.tell()
	t.stir()
}

// Unjoin hands over what this peer stores and gives up its slot; it may still read and
// write. It returns when all is handed over, and tells events of the progress. Errors:
// ErrNoPeers if nobody else stores (it goes on storing then), ErrNoMajority if not all was
// taken before the context ended (what is left stays here, and is handed over when this
// peer joins again), ErrClosed.
func (t *Table) Unjoin(ctx context.Context) error {
	t.joinMu.Lock()
	defer t.joinMu.Unlock()
	if err := t.unjoin(ctx); err != nil {
		return fmt.Errorf("chord: unjoin: %w", err)
	}
	return nil
}

func (t *Table) unjoin(ctx context.Context) error {
	t.mu.Lock()
	stores, alone, keys := t.ring.Stores(), len(t.ring.Succs()) == 0, t.allKeys()
	t.mu.Unlock()
	switch {
	case stores && alone && len(keys) > 0:
		return ErrNoPeers
	case stores:
		t.handOver(ctx, keys, true, t.reportHandOver(len(keys)))
		t.depart(ctx)
	}
	for pause := firstRetry; ; pause = min(2*pause, lastRetry) {
		t.mu.Lock()
		keys := t.allKeys()
		t.mu.Unlock()
		t.handOver(ctx, keys, false, t.reportHandOver(len(keys)))
		t.mu.Lock()
		left := t.store.Len()
		t.mu.Unlock()
		if left == 0 {
			t.happen(Event{Kind: EventProgress, Task: TaskHandOver, Done: uint64(len(keys)), Total: uint64(len(keys)), Over: true})
			return nil
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return fmt.Errorf("%w: %d keys are left here (%w)", ErrNoMajority, left, ctx.Err())
		case <-t.ctx.Done():
			return ErrClosed
		}
	}
}

// depart gives up the slot, and tells the neighbours on the ring.
func (t *Table) depart(ctx context.Context) {
	t.mu.Lock()
	v := t.ring.View(time.Now())
	others := t.ring.Neighbours()
	t.ring.Exit()
	t.complete, t.due = ring.Reach{}, time.Time{}
	t.happen(Event{Kind: EventLeft})
	t.tell()
	t.mu.Unlock()
	for _, n := range others {
		if _, err := t.ask(ctx, peer.ID(n.Peer), &wire.Question{Kind: wire.AskDepart, View: &v}); err != nil {
			t.log.Debug("no farewell", "peer", peer.ID(n.Peer), "err", err)
		}
	}
}

// reportHandOver returns what tells of the progress of handing over.
func (t *Table) reportHandOver(total int) func(uint64) {
	return func(done uint64) {
		if done%home.MaxPage == 0 {
			t.happen(Event{Kind: EventProgress, Task: TaskHandOver, Done: done, Total: uint64(total)})
		}
	}
}

// allKeys are the keys of all that is stored here. The caller holds mu.
func (t *Table) allKeys() []string { return t.store.Keys() }
