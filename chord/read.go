package chord

import (
	"context"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/internal/value"

	"github.com/p2p-today/go2p/chord/internal/home"
	"github.com/p2p-today/go2p/chord/internal/ring"
	"github.com/p2p-today/go2p/chord/internal/wire"
)

const (
	opTime     = 10 * time.Second // of an operation whose context has no deadline
	firstRetry = 20 * time.Millisecond
	lastRetry  = time.Second
	minHedge   = 5 * time.Millisecond // before homes are asked that need not be
	maxHedge   = time.Second
)

// A Step is one question that was asked for a key, and what came of it.
type Step struct {
	Peer   string
	Slot   uint64
	Role   string // which home it was asked as
	Answer string
	Took   time.Duration
}

// A held is what the homes say of a key.
type held struct {
	home.Write
	value string
	homes []ring.Replica
}

// vote is what a home has answered in one round.
type vote struct {
	a   *wire.Reply
	err error
}

// A round asks the homes of a key, until enough have answered.
type round struct {
	t         *Table
	ctx       context.Context
	positions [ring.Copies]ring.Slot
	ask       func(ring.Replica) *wire.Question
	asked     map[ring.Replica]bool
	votes     map[ring.Replica]vote
	waiting   int
	news      chan answered
	trace     func(Step)
}

type answered struct {
	ring.Replica
	vote
}

func (t *Table) newRound(ctx context.Context, key string, ask func(ring.Replica) *wire.Question) *round {
	return &round{
		t: t, ctx: ctx, positions: t.k.Positions(key), ask: ask, asked: map[ring.Replica]bool{}, votes: map[ring.Replica]vote{},
		news: make(chan answered, 4*ring.Copies),
	}
}

// homes are the homes of the key as they are known now. If one that has answered knows of
// more peers than this one, it is asked for them.
func (r *round) homes() ([]ring.Replica, error) {
	hs, err := r.known()
	for h, v := range r.votes {
		if err == nil && v.err == nil && v.a.Replicas > len(hs) {
			if _, silent := r.t.ask(r.ctx, peer.ID(h.Peer), &wire.Question{Kind: wire.AskFind, Position: h.Slot}); silent == nil {
				hs, err = r.known()
			}
		}
	}
	return hs, err
}

func (r *round) known() ([]ring.Replica, error) {
	r.t.mu.Lock()
	defer r.t.mu.Unlock()
	switch {
	case r.t.closed:
		return nil, ErrClosed
	case r.t.alone() != nil:
		return nil, r.t.alone()
	}
	hs := r.t.ring.Replicas(r.positions)
	if len(hs) == 0 {
		return nil, ErrNoPeers
	}
	return hs, nil
}

// send asks homes that were not asked, so many at most.
func (r *round) send(ctx context.Context, hs []ring.Replica, most int) {
	for _, h := range hs {
		if most <= 0 {
			return
		}
		if r.asked[h] {
			continue
		}
		r.asked[h] = true
		r.waiting++
		most--
		q := r.ask(h)
		r.t.background(func() {
			start := time.Now()
			a, err := r.t.ask(ctx, peer.ID(h.Peer), q)
			if r.trace != nil {
				r.trace(step(h, a, err, time.Since(start)))
			}
			select {
			case r.news <- answered{h, vote{a, err}}:
			case <-r.t.ctx.Done():
			}
		})
	}
}

func step(h ring.Replica, a *wire.Reply, err error, took time.Duration) Step {
	s := Step{Peer: peer.ID(h.Peer).String(), Slot: uint64(h.Slot), Role: fmt.Sprintf("home %d", h.Index+1), Took: took}
	if h.Offset > 0 {
		s.Role += fmt.Sprintf(", %d after the owner", h.Offset)
	}
	switch {
	case err != nil:
		s.Answer = "silent: " + err.Error()
	case a.Kind == wire.SayNotMine && len(a.Next) > 0:
		s.Answer = "not mine: ask " + peer.ID(a.Next[0].Peer).String()
	case a.Kind == wire.SayNotMine:
		s.Answer = "not mine"
	case a.Kind == wire.SayFailed:
		s.Answer = "failed: " + a.Text
	case a.Backfilling:
		s.Answer = "is filling"
	case a.Kind == wire.SayVersion && a.Write.Counter == 0:
		s.Answer = "has nothing"
	case a.Kind == wire.SayVersion && a.Write.Deleted:
		s.Answer = fmt.Sprintf("deleted in version %d", a.Write.Counter)
	case a.Kind == wire.SayVersion:
		s.Answer = fmt.Sprintf("has version %d", a.Write.Counter)
	default:
		s.Answer = "answered"
	}
	return s
}

// receive waits for an answer, or the time. It is false when the operation has no more.
func (r *round) receive(until <-chan time.Time) (timely bool, err error) {
	select {
	case n := <-r.news:
		r.waiting--
		if n.err == nil && n.a.Whole && home.Hash(n.a.Value) != n.a.Write.Hash {
			n.err = fmt.Errorf("%w: the value is not that of its version", errForm)
			r.t.mu.Lock()
			r.t.misbehaved(peer.ID(n.Peer))
			r.t.mu.Unlock()
		}
		r.votes[n.Replica] = n.vote
		return true, nil
	case <-until:
		return false, nil
	case <-r.ctx.Done():
		return false, r.ctx.Err()
	case <-r.t.ctx.Done():
		return false, ErrClosed
	}
}

// again has those asked once more that have not helped, after a pause that grows.
func (r *round) again(pause *time.Duration) error {
	select {
	case <-time.After(*pause):
	case <-r.ctx.Done():
		return r.ctx.Err()
	case <-r.t.ctx.Done():
		return ErrClosed
	}
	*pause = min(2**pause, lastRetry)
	for h, v := range r.votes {
		if v.err != nil || v.a.Backfilling || v.a.Kind != wire.SayVersion && v.a.Kind != wire.SayOutcome {
			delete(r.votes, h)
			delete(r.asked, h)
		}
	}
	return nil
}

// hedge is how long the first homes have before others are asked, too.
func (t *Table) hedge() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return min(max(4*t.pace, minHedge), maxHedge)
}

// noMajority says why an operation ended.
func noMajority(hs []ring.Replica, got int, why error) error {
	return fmt.Errorf("%w: %d of %d have, at least %d must (%w)", ErrNoMajority, got, len(hs), ring.Majority(len(hs)), why)
}

// read returns what stands: the newest version of a majority of the homes. Homes that
// have an older one are given it; and if a majority has not got it yet, read waits until
// it has, so that who reads later does not find an older one.
func (t *Table) read(ctx context.Context, key string, trace func(Step)) (*held, error) {
	if len(key) > home.MaxKey {
		return nil, fmt.Errorf("%w: a key of %d bytes, at most %d", ErrTooLarge, len(key), home.MaxKey)
	}
	ctx, cancel := t.limit(ctx)
	defer cancel()
	first := true
	r := t.newRound(ctx, key, func(h ring.Replica) *wire.Question {
		q := &wire.Question{Kind: wire.AskGet, Key: key, Role: h.Role, Brief: !first}
		first = false
		return q
	})
	r.trace = trace
	newest, from, hs, _, err := r.gather()
	if err != nil {
		return nil, err
	}
	it, err := t.fetch(ctx, key, newest, from)
	if err == nil {
		it.homes = hs
		t.repair(ctx, key, r, it)
	}
	return it, err
}

// prepare has a majority of the homes take nothing below a version, and returns what
// stands now. If that or a promise to somebody else is above it, it returns the counter of
// that.
func (t *Table) prepare(ctx context.Context, key string, v home.Version) (it *held, above uint64, err error) {
	first := true
	r := t.newRound(ctx, key, func(h ring.Replica) *wire.Question {
		q := &wire.Question{Kind: wire.AskPrepare, Key: key, Role: h.Role, Brief: !first, Write: home.Write{Version: v}}
		first = false
		return q
	})
	newest, from, _, above, err := r.gather()
	if err == nil && above == 0 {
		it, err = t.fetch(ctx, key, newest, from)
	}
	return it, above, err
}

// gather asks for what a majority of the homes holds, and returns the newest of that and
// where it is. It ends early if a home names something above what was asked to be
// prepared.
func (r *round) gather() (newest *wire.Reply, from ring.Replica, hs []ring.Replica, above uint64, err error) {
	hedge := time.After(r.t.hedge())
	pause := firstRetry
	for {
		if hs, err = r.homes(); err != nil {
			return
		}
		got, waiting, bad := 0, 0, false
		newest, above = nil, 0
		limit, sure := r.ceiling(hs)
		for _, h := range hs {
			v, ok := r.votes[h]
			switch {
			case !ok && r.asked[h]:
				waiting++
			case ok && v.err == nil && (v.a.Kind == wire.SayOutcome || v.a.Kind == wire.SayVersion) && sure && v.a.Write.Counter > limit:
				bad = true
			case ok && v.err == nil && v.a.Kind == wire.SayOutcome:
				bad = true
				if sure {
					above = max(above, v.a.Write.Counter)
				}
			case ok && v.err == nil && v.a.Kind == wire.SayVersion:
				if !v.a.Backfilling {
					got++
				}
				bad = bad || v.a.Backfilling
				if newest == nil || v.a.Write.Compare(newest.Write.Version) > 0 || v.a.Write.Version == newest.Write.Version && v.a.Whole {
					newest, from = v.a, h
				}
			case ok:
				bad = true
			}
		}
		need := ring.Majority(len(hs))
		if sure && (got >= need || above > 0) {
			return
		}
		most := need - got - waiting
		if bad || got >= need {
			most = len(hs)
		}
		r.send(r.ctx, hs, most)
		timely := true
		if r.waiting > 0 {
			timely, err = r.receive(hedge)
		} else {
			err = r.again(&pause)
		}
		if err != nil {
			err = noMajority(hs, got, err)
			return
		}
		if !timely {
			r.send(r.ctx, hs, len(hs))
		}
	}
}

// limit gives an operation its time if it has none.
func (t *Table) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, opTime)
}

// fetch gets the value of a version, if it is not here already.
func (t *Table) fetch(ctx context.Context, key string, newest *wire.Reply, from ring.Replica) (*held, error) {
	it := &held{Write: newest.Write, value: newest.Value}
	if it.Counter == 0 {
		return it, nil
	}
	if !it.Deleted && !newest.Whole {
		a, err := t.ask(ctx, peer.ID(from.Peer), &wire.Question{Kind: wire.AskFetch, Key: key})
		if err != nil {
			return nil, err
		}
		if a.Kind != wire.SayVersion || a.Write.Compare(it.Version) < 0 || !a.Write.Deleted && !a.Whole {
			return nil, fmt.Errorf("%w: %s has no value of its version", ErrNoMajority, peer.ID(from.Peer))
		}
		it.Write, it.value = a.Write, a.Value
	}
	if !it.Deleted && home.Hash(it.value) != it.Hash {
		t.mu.Lock()
		t.misbehaved(peer.ID(from.Peer))
		t.mu.Unlock()
		return nil, fmt.Errorf("%w: the value from %s is not that of its version", ErrNoMajority, peer.ID(from.Peer))
	}
	return it, nil
}

// repair gives what was read to homes that have something older, and waits until a
// majority has it.
func (t *Table) repair(ctx context.Context, key string, r *round, it *held) {
	have, lack := 0, []ring.Replica(nil)
	for _, h := range it.homes {
		v, ok := r.votes[h]
		switch {
		case !ok || v.err != nil || v.a.Kind != wire.SayVersion:
		case v.a.Write.Compare(it.Version) >= 0:
			if !v.a.Backfilling {
				have++
			}
		default:
			lack = append(lack, h)
		}
	}
	if len(lack) == 0 {
		return
	}
	t.stats.repairs.Add(uint64(len(lack)))
	given := make(chan bool, len(lack))
	for _, h := range lack {
		t.background(func() {
			a, err := t.ask(t.ctx, peer.ID(h.Peer), &wire.Question{Kind: wire.AskOffer, Key: key, Write: it.Write, Value: it.value})
			given <- err == nil && a.Kind == wire.SayOutcome
		})
	}
	for range lack {
		if have >= ring.Majority(len(it.homes)) {
			break
		}
		select {
		case ok := <-given:
			if ok {
				have++
			}
		case <-ctx.Done():
			return
		}
	}
}

// Get returns the value of a key, which is the caller's: that of the newest version that
// a majority of its homes knows of. Without a deadline in the context it takes at most
// 10 s. Errors: ErrNotFound, ErrNoMajority, ErrNoPeers, a *RefusedError if all neighbours
// have another k, ErrClosed, or the context's.
func (t *Table) Get(ctx context.Context, key string) (any, error) {
	it, err := t.Item(ctx, key, nil)
	return it.Value, err
}

// An Item is a key with its value, and who wrote it.
type Item struct {
	Key     string
	Value   any
	Writer  string   // peer ID, as the writer says itself
	Version uint64   // raised with each write
	Homes   []string // peers that keep it
}

// Item returns a key with all there is to know of it. Trace, which may be nil, is told of
// each question on the way, also by several goroutines at a time and after the end.
// Errors: those of Get.
func (t *Table) Item(ctx context.Context, key string, trace func(Step)) (Item, error) {
	it, err := t.read(ctx, key, trace)
	if err == nil && (it.Counter == 0 || it.Deleted) {
		err = fmt.Errorf("%w: %q", ErrNotFound, key)
	}
	if err != nil {
		return Item{}, fmt.Errorf("chord: get: %w", err)
	}
	return it.item(key)
}

func (it *held) item(key string) (Item, error) {
	v, err := value.Decode([]byte(it.value))
	if err != nil {
		return Item{}, fmt.Errorf("chord: value of %q: %w", key, err)
	}
	out := Item{Key: key, Value: v, Writer: writerText(it.Writer), Version: it.Counter}
	for _, h := range it.homes {
		out.Homes = append(out.Homes, peer.ID(h.Peer).String())
	}
	return out, nil
}

// writerText is a writer as text: a peer ID, unless it came from an old network.
func writerText(w string) string {
	if id, err := peer.IDFromBytes([]byte(w)); err == nil {
		return id.String()
	}
	return w
}
