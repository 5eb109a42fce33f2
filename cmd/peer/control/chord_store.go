package control

import (
	"context"
	"errors"
	"iter"
	"sync"
	"time"

	"github.com/p2p-today/go2p/chord"
	"github.com/p2p-today/go2p/internal/value"
)

// A chordStore is the table.
type chordStore struct {
	table   *chord.Table
	joined  <-chan struct{} // closed when the peer stores, or is not to
	settled time.Time       // until then, requests wait for a slot and for peers
}

// ready waits, until the time settled, for a slot, if this peer is to store, and for a known peer that stores. The error
// is chord.ErrRefused.
func (s *chordStore) ready(ctx context.Context) error {
	ctx, cancel := context.WithDeadline(ctx, s.settled)
	defer cancel()
	select {
	case <-s.joined:
	case <-ctx.Done():
	}
	if err := s.table.AwaitPeers(ctx); errors.Is(err, chord.ErrRefused) {
		return err
	}
	return nil
}

func (s *chordStore) get(ctx context.Context, key string) (any, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	var mu sync.Mutex
	var steps []TraceStep
	start := time.Now()
	it, err := s.table.Item(ctx, key, func(st chord.Step) {
		mu.Lock()
		defer mu.Unlock()
		steps = append(steps, TraceStep{st.Peer, st.Slot, st.Role.String(), st.Answer, milliseconds(st.Took)})
	})
	if err != nil {
		return nil, err
	}
	out := toChordItem(it)
	out.Took = milliseconds(time.Since(start))
	mu.Lock()
	defer mu.Unlock()
	out.Trace = steps[:len(steps):len(steps)]
	return out, nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func toChordItem(it chord.Item) ChordItem {
	return ChordItem{Key: Key(it.Key), Value: value.JSON(it.Value), Writer: it.Writer, Version: it.Version, Replicas: it.Replicas}
}

func (s *chordStore) set(ctx context.Context, key string, v any, _ int) (any, error) {
	return OK{true}, s.table.Set(ctx, key, v)
}

func (s *chordStore) delta(ctx context.Context, key string, d map[string]any, _ int) (any, error) {
	return OK{true}, s.table.ApplyDelta(ctx, key, d)
}

func (s *chordStore) remove(ctx context.Context, key string, _ int) error {
	return s.table.Delete(ctx, key)
}

func (s *chordStore) pop(ctx context.Context, key string, _ int) (any, error) {
	return s.table.Pop(ctx, key)
}

func (s *chordStore) update(ctx context.Context, items map[string]any, _ int) error {
	return s.table.Update(ctx, items)
}

func (s *chordStore) keys(ctx context.Context) iter.Seq2[any, error] {
	return convert(s.table.Keys(ctx), func(key string) any { return ChordItem{Key: Key(key)} })
}

func (s *chordStore) items(ctx context.Context, prefix string) iter.Seq2[any, error] {
	return convert(s.table.Items(ctx, prefix), func(it chord.Item) any { return toChordItem(it) })
}

func (s *chordStore) watch(ctx context.Context, prefix, _ string) (iter.Seq2[Change, error], error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	return convert(s.table.Watch(ctx, prefix), toChordChange), nil
}

// toChordChange returns a change in the form that the dictionary has: a key that was added is updated.
func toChordChange(c chord.Change) Change {
	out := Change{Event: string(c.Kind), Value: value.JSON(c.Value), Owner: c.Writer, Term: c.Version, Time: c.Time}
	if c.Kind == chord.Added {
		out.Event = "update"
	}
	if c.Kind != chord.Missed {
		key := Key(c.Key)
		out.Key = &key
	}
	return out
}

func (s *chordStore) status() ChordStatus {
	t := s.table.Status()
	st := ChordStatus{
		K: t.K, Stores: t.Stores, Slot: t.Slot, Keys: t.Keys, Bytes: t.Bytes, MaxBytes: t.MaxBytes,
		Known: t.Known, Backfilling: t.Backfilling,
	}
	if t.Refused != nil {
		st.Refused = t.Refused.Error()
	}
	if t.Failed != nil {
		st.Failed = t.Failed.Error()
	}
	return st
}
