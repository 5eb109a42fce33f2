package chord

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/chord/internal/home"
	"github.com/p2p-today/go2p/internal/value"
)

// Limits of a key and a value in bytes. The package sync has the same ones.
const (
	MaxKey   = home.MaxKey
	MaxValue = home.MaxValue
)

const updateWidth = 16 // keys that Update writes at a time

// Get returns the value of a key, which is the caller's: that of the newest version that a
// majority of its replicas knows of. Without a deadline in the context it takes at most 10 s.
// Errors: ErrNotFound, ErrNoMajority, ErrNoPeers, a *RefusedError if all neighbours have
// another K, ErrClosed, or the context's.
func (t *Table) Get(ctx context.Context, key string) (any, error) {
	it, err := t.Item(ctx, key, nil)
	return it.Value, err
}

// An Item is a key with its value, its writer and its version.
type Item struct {
	Key      string
	Value    any
	Writer   string   // peer ID, as the writer says itself
	Version  uint64   // raised with each write
	Replicas []string // peers that keep it
}

// Item returns a key with all there is to know of it. Trace, if it is not nil, is called for
// each question on the way, also by several goroutines at a time, and after the call.
// Errors: those of Get.
func (t *Table) Item(ctx context.Context, key string, trace func(Step)) (Item, error) {
	if len(key) > MaxKey {
		return Item{}, fmt.Errorf("chord: get: %w: a key of %d bytes, at most %d", ErrTooLarge, len(key), MaxKey)
	}
	ctx, cancel := limited(ctx)
	defer cancel()
	res, err := t.coordinator.read(ctx, key, trace)
	if err == nil && !res.found() {
		err = fmt.Errorf("%w: %q", ErrNotFound, key)
	}
	if err != nil {
		return Item{}, fmt.Errorf("chord: get: %w", err)
	}
	return res.item(key)
}

func (r *readResult) item(key string) (Item, error) {
	v, err := value.Decode([]byte(r.value))
	if err != nil {
		return Item{}, fmt.Errorf("chord: value of %q: %w", key, err)
	}
	it := Item{Key: key, Value: v, Writer: writerText(r.Writer), Version: r.Counter}
	for _, replica := range r.replicas {
		it.Replicas = append(it.Replicas, peer.ID(replica.Peer).String())
	}
	return it, nil
}

// writerText returns a writer as text: a peer ID, unless it came from an old network.
func writerText(w string) string {
	if id, err := peer.IDFromBytes([]byte(w)); err == nil {
		return id.String()
	}
	return w
}

// encode returns the bytes of a value. Errors: a *TypeError, or ErrTooLarge.
func encode(v any) (string, error) {
	data, err := value.Encode(v)
	if err == nil && len(data) > MaxValue {
		err = fmt.Errorf("%w: a value of %d bytes, at most %d", ErrTooLarge, len(data), MaxValue)
	}
	return string(data), err
}

// inTurn runs a write of one key, after this peer's earlier ones.
func (t *Table) inTurn(ctx context.Context, what, key string, f func(context.Context) error) error {
	if len(key) > MaxKey {
		return fmt.Errorf("chord: %s: %w: a key of %d bytes, at most %d", what, ErrTooLarge, len(key), MaxKey)
	}
	ctx, cancel := limited(ctx)
	defer cancel()
	unlock, err := t.keys.Lock(ctx, key)
	if err == nil {
		defer unlock()
		err = f(ctx)
	}
	if err != nil {
		return fmt.Errorf("chord: %s %q: %w", what, key, err)
	}
	return nil
}

// Set gives a key a value. It returns when a majority of the key's replicas has it, on disk
// where they have one: it survives if any two of five fail at once. Without a deadline in
// the context it takes at most 10 s. If several peers write at the same time, one of the
// writes stands.
//
// Errors: *TypeError, ErrTooLarge, ErrFull, ErrNoMajority (it may still happen then),
// ErrNoPeers, a *RefusedError if all neighbours have another K, ErrClosed, or the
// context's.
func (t *Table) Set(ctx context.Context, key string, v any) error {
	val, err := encode(v)
	if err != nil {
		return fmt.Errorf("chord: set %q: %w", key, err)
	}
	return t.inTurn(ctx, "set", key, func(ctx context.Context) error { return t.coordinator.write(ctx, key, val) })
}

// Update gives several keys their values, one by one. If it fails some may have theirs. Errors:
// those of Set.
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

// Delete removes a key. Errors: ErrNotFound, and those of Set.
func (t *Table) Delete(ctx context.Context, key string) error {
	_, err := t.remove(ctx, "delete", key)
	return err
}

func (t *Table) remove(ctx context.Context, what, key string) (was *readResult, err error) {
	err = t.inTurn(ctx, what, key, func(ctx context.Context) error {
		return t.coordinator.modify(ctx, key, func(res *readResult, own bool) (string, bool, error) {
			switch {
			case res != nil:
				was = res
			case !own: // else this call has deleted it
				return "", true, ErrNotFound
			}
			return "", true, nil
		})
	})
	return was, err
}

// Pop removes a key and returns the value that it had. If several peers pop it at the same
// time, one gets it. Errors: those of Delete.
func (t *Table) Pop(ctx context.Context, key string) (any, error) {
	was, err := t.remove(ctx, "pop", key)
	if err != nil {
		return nil, err
	}
	it, err := was.item(key)
	return it.Value, err
}

// ApplyDelta puts the entries of a map into the map that a key has as its value, one level
// deep. A key without a value counts as an empty map. Deltas of several peers at the same time
// are all in it in the end. Errors: ErrNoMap if the value is no map, and those of Set.
func (t *Table) ApplyDelta(ctx context.Context, key string, delta map[string]any) error {
	if _, err := encode(delta); err != nil {
		return fmt.Errorf("chord: delta %q: %w", key, err)
	}
	return t.inTurn(ctx, "delta", key, func(ctx context.Context) error {
		return t.coordinator.modify(ctx, key, func(was *readResult, _ bool) (string, bool, error) {
			merged := map[string]any{}
			if was != nil {
				v, err := value.Decode([]byte(was.value))
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
