package chord

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/chord/internal/home"
	"github.com/p2p-today/go2p/chord/internal/ring"
	"github.com/p2p-today/go2p/chord/internal/wire"
)

const (
	meetTime   = 2 * time.Second // for neighbours to tell of peers that store, before a ring is founded
	claimPause = 200 * time.Millisecond
)

// A joiner takes a slot of the ring for this node, or gives it up. Its lock is held while
// that goes on.
type joiner struct {
	mu       sync.Mutex
	node     *node
	client   *client
	walker   *walker
	transfer *transfer
	log      *slog.Logger
	emit     func(Event)
}

func (j *joiner) ended() <-chan struct{} { return j.client.life.Context().Done() }

// announce greets all neighbours in the mesh: they hear whether this node stores, and it
// hears whether they do.
func (j *joiner) announce() {
	for _, p := range j.node.neighbours.peers() {
		j.client.greetLater(p)
	}
}

// awaitPeers is Table.AwaitPeers.
func (j *joiner) awaitPeers(ctx context.Context) error {
	for {
		news := j.node.news.C()
		greeted := j.node.neighbours.answered()
		if err := j.node.neighbours.refusal(); err != nil || len(j.node.cached()) > 0 {
			return err
		}
		if err := j.node.neighbours.await(ctx); err != nil {
			return err
		}
		if greeted > 0 && greeted >= len(j.node.neighbours.peers()) {
			return ErrNoPeers
		}
		select {
		case <-news:
		case <-j.ended():
			return ErrClosed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// join takes a slot. Errors: those of Table.Join.
func (j *joiner) join(ctx context.Context) error {
	ctx, cancel := limited(ctx)
	defer cancel()
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.node.stores() {
		return nil
	}
	for {
		meet, cancel := context.WithTimeout(ctx, meetTime)
		nobody := j.awaitPeers(meet)
		cancel()
		if errors.Is(nobody, ErrRefused) || errors.Is(nobody, ErrClosed) {
			return nobody
		} else if ctx.Err() != nil {
			return ctx.Err()
		}
		err := j.claim(ctx, nobody != nil)
		if err == nil || errors.Is(err, ErrRingFull) || errors.Is(err, ErrRefused) || errors.Is(err, ErrClosed) {
			return err
		}
		select {
		case <-time.After(claimPause):
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ErrNoMajority, err)
		case <-j.ended():
			return ErrClosed
		}
	}
}

// claim claims slot after slot until one is granted. If it may, and no node is known that
// could grant one, it founds a ring.
func (j *joiner) claim(ctx context.Context, mayFound bool) error {
	for s := range j.node.k.Probe(string(j.node.id)) {
		if j.client.life.Sealed() {
			return ErrClosed
		}
		start, known, founded := j.node.next(s, mayFound)
		switch {
		case founded:
			j.announce()
			return nil
		case !known:
			return errAstray
		}
		owner, err := j.walker.lookup(ctx, ring.NewLookup(j.node.k, s, start))
		if err != nil {
			return err
		}
		if owner.View.Self.Slot == s {
			continue
		}
		p := peer.ID(owner.View.Self.Peer)
		a, err := j.client.ask(ctx, p, &wire.Question{Kind: wire.AskClaim, Position: s})
		switch {
		case err != nil:
			return err
		case a.Kind != wire.SayClaim:
			return fmt.Errorf("%s does not answer a claim", p)
		case a.Verdict == ring.Granted:
			j.node.enter(s, a.View)
			j.announce()
			return nil
		case a.Verdict != ring.Taken:
			return fmt.Errorf("slot %d: somebody else claims one", s)
		}
	}
	return ErrRingFull
}

// rejoin takes another slot after another node has kept this one's.
func (j *joiner) rejoin(ctx context.Context) {
	j.log.Info("another peer has the same slot, and keeps it")
	if err := j.join(ctx); err != nil {
		err = fmt.Errorf("chord: join: %w", err)
		j.log.Warn("cannot store any more", "err", err)
		j.emit(Event{Kind: EventLeft, Err: err})
	}
}

// unjoin hands all keys off and gives up the slot. Errors: those of Table.Unjoin.
func (j *joiner) unjoin(ctx context.Context) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	keys, stores, alone := j.node.stock()
	switch {
	case stores && alone && len(keys) > 0:
		return ErrNoPeers
	case stores:
		j.transfer.give(ctx, keys, true, j.report(len(keys)))
		j.depart(ctx)
	}
	pauses := retry
	for failures := 1; ; failures++ {
		keys := j.node.allKeys()
		j.transfer.give(ctx, keys, false, j.report(len(keys)))
		left := len(j.node.allKeys())
		if left == 0 {
			n := uint64(len(keys))
			j.emit(Event{Kind: EventProgress, Task: TaskHandOff, Done: n, Total: n, Over: true})
			return nil
		}
		select {
		case <-time.After(pauses.After(failures, nil)):
		case <-ctx.Done():
			return fmt.Errorf("%w: %d keys are left here (%w)", ErrNoMajority, left, ctx.Err())
		case <-j.ended():
			return ErrClosed
		}
	}
}

// depart gives up the slot, and tells the neighbours on the ring.
func (j *joiner) depart(ctx context.Context) {
	last, neighbours := j.node.leave()
	for _, n := range neighbours {
		p := peer.ID(n.Peer)
		if _, err := j.client.ask(ctx, p, &wire.Question{Kind: wire.AskDepart, View: &last}); err != nil {
			j.log.Debug("no goodbye", "peer", p, "err", err)
		}
	}
}

// report returns what reports the progress of a hand-off now and then.
func (j *joiner) report(total int) func(done uint64) {
	return func(done uint64) {
		if done%home.MaxPage == 0 {
			j.emit(Event{Kind: EventProgress, Task: TaskHandOff, Done: done, Total: uint64(total)})
		}
	}
}
