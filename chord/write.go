package chord

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/p2p-today/go2p/internal/value"

	"github.com/p2p-today/go2p/chord/internal/home"
	"github.com/p2p-today/go2p/chord/internal/ring"
	"github.com/p2p-today/go2p/chord/internal/wire"
)

// newWrite is a write of this peer.
func (t *Table) newWrite(counter uint64, val string, deleted bool) home.Write {
	w := home.Write{Version: home.Version{Counter: counter, Writer: string(t.id)}, Deleted: deleted, At: time.Now(), Size: len(val)}
	if !deleted {
		w.Hash = home.Hash(val)
	}
	return w
}

// write gives a key a version above all that its homes hold, whatever that is, and
// returns when a majority has it.
func (t *Table) write(ctx context.Context, key, val string) error {
	for counter := uint64(1); ; {
		above, err := t.attempt(ctx, key, val, t.newWrite(counter, val, false))
		if err != nil || above == 0 {
			return err
		}
		if counter = above + 1; counter > home.MaxCounter {
			return errWorn
		}
	}
}

var errWorn = errors.New("it was written too often")

// attempt writes one version. It returns the counter of a higher one that a home holds,
// or 0 when a majority has taken this one.
func (t *Table) attempt(ctx context.Context, key, val string, w home.Write) (above uint64, err error) {
	r := t.newRound(ctx, key, func(h ring.Replica) *wire.Question {
		return &wire.Question{Kind: wire.AskPut, Key: key, Role: h.Role, Write: w, Value: val}
	})
	pause := firstRetry
	for {
		hs, err := r.homes()
		if err != nil {
			return 0, err
		}
		got, refused, above := 0, 0, uint64(0)
		limit, sure := r.ceiling(hs)
		for _, h := range hs {
			v, ok := r.votes[h]
			if !ok || v.err != nil || v.a.Kind != wire.SayOutcome {
				continue
			}
			switch v.a.Outcome {
			case home.Stored, home.Known:
				if !v.a.Backfilling {
					got++
				}
			case home.Lower:
				if sure && v.a.Write.Counter <= limit {
					above = max(above, v.a.Write.Counter)
				}
			case home.Full:
				refused++
			}
		}
		switch {
		case above > 0:
			return above, nil
		case got >= ring.Majority(len(hs)) && sure:
			t.background(r.finish)
			return 0, nil
		case refused > len(hs)-ring.Majority(len(hs)):
			return 0, ErrFull
		}
		r.send(t.ctx, hs, len(hs)) // homes beyond the majority get it also when this is over
		if r.waiting > 0 {
			_, err = r.receive(nil)
		} else {
			err = r.again(&pause)
		}
		if err != nil {
			return 0, noMajority(hs, got, err)
		}
	}
}

// finish goes on with a write that a majority has taken, until all homes have answered, so
// that there are as many copies as there should be.
func (r *round) finish() {
	ctx, cancel := context.WithTimeout(r.t.ctx, opTime)
	defer cancel()
	r.ctx = ctx
	for pause := firstRetry; ; {
		hs, err := r.homes()
		if err == nil && !slices.ContainsFunc(hs, func(h ring.Replica) bool {
			v, ok := r.votes[h]
			return !ok || v.err != nil || v.a.Kind != wire.SayOutcome
		}) {
			return
		}
		r.send(r.t.ctx, hs, len(hs))
		if r.waiting > 0 {
			_, err = r.receive(nil)
		} else {
			err = r.again(&pause)
		}
		if err != nil {
			return
		}
	}
}

// ceiling is the highest counter to believe. It is not sure while less than a majority has
// answered, nor while counters are so far apart that somebody lies, and more may answer.
func (r *round) ceiling(hs []ring.Replica) (limit uint64, sure bool) {
	var counters []uint64
	answered := 0
	for _, h := range hs {
		v, ok := r.votes[h]
		if ok {
			answered++
		}
		if ok && v.err == nil && (v.a.Kind == wire.SayOutcome || v.a.Kind == wire.SayVersion) {
			counters = append(counters, v.a.Write.Counter)
		}
	}
	if len(counters) < ring.Majority(len(hs)) {
		return 0, false
	}
	near := slices.Max(counters)-slices.Min(counters) <= home.MaxJump
	return home.Ceiling(counters), near || answered == len(hs)
}

// locks keep the order of this peer's own writes of a key.
type locks struct {
	mu   sync.Mutex
	held map[string]*lock
}

type lock struct {
	turn  chan struct{} // has a token while nobody writes
	users int
}

// lock waits for the turn to write a key.
func (ls *locks) lock(ctx context.Context, key string) (unlock func(), err error) {
	ls.mu.Lock()
	l := ls.held[key]
	if l == nil {
		l = &lock{turn: make(chan struct{}, 1)}
		l.turn <- struct{}{}
		ls.held[key] = l
	}
	l.users++
	ls.mu.Unlock()
	leave := func() {
		ls.mu.Lock()
		defer ls.mu.Unlock()
		if l.users--; l.users == 0 {
			delete(ls.held, key)
		}
	}
	select {
	case <-l.turn:
		return func() { l.turn <- struct{}{}; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}

// do runs a write of one key, after this peer's earlier ones.
func (t *Table) do(ctx context.Context, what, key string, f func(context.Context) error) error {
	if len(key) > home.MaxKey {
		return fmt.Errorf("chord: %s: %w: a key of %d bytes, at most %d", what, ErrTooLarge, len(key), home.MaxKey)
	}
	ctx, cancel := t.limit(ctx)
	defer cancel()
	unlock, err := t.keys.lock(ctx, key)
	if err == nil {
		defer unlock()
		err = f(ctx)
	}
	if err != nil {
		return fmt.Errorf("chord: %s %q: %w", what, key, err)
	}
	return nil
}

// encode checks a value.
func encode(v any) (string, error) {
	data, err := value.Encode(v)
	if err == nil && len(data) > home.MaxValue {
		err = fmt.Errorf("%w: a value of %d bytes, at most %d", ErrTooLarge, len(data), home.MaxValue)
	}
	return string(data), err
}

// Set gives a key a value. It returns when a majority of the key's homes has it, on disk
// where they have one; so that it survives if any two of five die at once. Without a
// deadline in the context it takes at most 10 s. Of writes at the same time by several
// peers one stands.
//
// Errors: *TypeError, ErrTooLarge, ErrFull, ErrNoMajority (it may still happen then),
// ErrNoPeers, a *RefusedError if all neighbours have another k, ErrClosed, or the
// context's.
func (t *Table) Set(ctx context.Context, key string, v any) error {
	val, err := encode(v)
	if err != nil {
		return fmt.Errorf("chord: set %q: %w", key, err)
	}
	return t.do(ctx, "set", key, func(ctx context.Context) error { return t.write(ctx, key, val) })
}

const updateWidth = 16 // keys that Update writes at a time

// Update gives several keys their values, one by one: with an error some may have theirs.
// Errors: those of Set.
func (t *Table) Update(ctx context.Context, items map[string]any) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	room := make(chan struct{}, updateWidth)
	var wg sync.WaitGroup
	for _, key := range slices.Sorted(maps.Keys(items)) {
		select {
		case room <- struct{}{}:
		case <-ctx.Done():
			wg.Wait()
			return context.Cause(ctx)
		}
		wg.Go(func() {
			defer func() { <-room }()
			if err := t.Set(ctx, key, items[key]); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// modify writes what follows from the value that a key has, nil if it has none, and does
// so anew if somebody else writes meanwhile. Own tells that what there is was written in
// an earlier attempt, of which it is not known whether a majority had taken it.
func (t *Table) modify(ctx context.Context, key string, f func(it *held, own bool) (val string, deleted bool, err error)) error {
	tried := map[home.Version]bool{}
	for counter := uint64(1); counter <= home.MaxCounter; {
		it, above, err := t.prepare(ctx, key, home.Version{Counter: counter, Writer: string(t.id)})
		if err != nil {
			return err
		}
		if above == 0 {
			own := tried[it.Version]
			if it.Counter == 0 || it.Deleted {
				it = nil
			}
			val, deleted, err := f(it, own)
			if err != nil {
				return err
			}
			w := t.newWrite(counter, val, deleted)
			tried[w.Version] = true
			if above, err = t.attempt(ctx, key, val, w); err != nil || above == 0 {
				return err
			}
		}
		if counter > 1 { // somebody else writes: one of the two should be ahead
			select {
			case <-time.After(rand.N(firstRetry)):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		counter = above + 1
	}
	return errWorn
}

// Delete removes a key. Errors: ErrNotFound, and those of Set.
func (t *Table) Delete(ctx context.Context, key string) error {
	_, err := t.remove(ctx, "delete", key)
	return err
}

func (t *Table) remove(ctx context.Context, what, key string) (was *held, err error) {
	err = t.do(ctx, what, key, func(ctx context.Context) error {
		return t.modify(ctx, key, func(it *held, own bool) (string, bool, error) {
			switch {
			case it != nil:
				was = it
			case !own: // else this call has deleted it
				return "", true, ErrNotFound
			}
			return "", true, nil
		})
	})
	return was, err
}

// Pop removes a key and returns the value that it had. Of several who pop it at the same
// time one gets it. Errors: those of Delete.
func (t *Table) Pop(ctx context.Context, key string) (any, error) {
	was, err := t.remove(ctx, "pop", key)
	if err != nil {
		return nil, err
	}
	it, err := was.item(key)
	return it.Value, err
}

// PopItem removes some key and returns it with the value that it had. Errors: ErrNotFound
// if there is none, and those of Set.
func (t *Table) PopItem(ctx context.Context) (string, any, error) {
	ctx, cancel := t.limit(ctx)
	defer cancel()
	for key, err := range t.Keys(ctx) {
		if err != nil {
			return "", nil, err
		}
		v, err := t.Pop(ctx, key)
		if !errors.Is(err, ErrNotFound) {
			return key, v, err
		}
	}
	return "", nil, fmt.Errorf("chord: pop item: %w", ErrNotFound)
}

// ApplyDelta puts the entries of a map into the map that a key has as its value, one level
// deep; a key that is not there has an empty one. Deltas of several peers at the same time
// are all in it in the end. Errors: ErrNoMap if the value is something else, and those of
// Set.
func (t *Table) ApplyDelta(ctx context.Context, key string, delta map[string]any) error {
	if _, err := encode(delta); err != nil {
		return fmt.Errorf("chord: delta %q: %w", key, err)
	}
	return t.do(ctx, "delta", key, func(ctx context.Context) error {
		return t.modify(ctx, key, func(it *held, _ bool) (string, bool, error) {
			merged := map[string]any{}
			if it != nil {
				v, err := value.Decode([]byte(it.value))
				if err != nil {
					return "", false, err
				}
				m, ok := v.(map[string]any)
				if !ok {
					return "", false, ErrNoMap
				}
				merged = m
			}
			maps.Copy(merged, delta)
			val, err := encode(merged)
			return val, false, err
		})
	})
}
