package control

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/p2p-today/go2p/internal/value"
	"github.com/p2p-today/go2p/mesh"
	p2psync "github.com/p2p-today/go2p/sync"
)

// A syncStore is the dictionary.
type syncStore struct {
	dict    *p2psync.Dict
	settled time.Time // until then, requests wait for the first neighbour in sync
}

// ready waits, until the time settled, for the dictionary to be in sync with a neighbour. The error is
// p2psync.ErrRefused or mesh.ErrNoCommonNetwork.
func (s *syncStore) ready(ctx context.Context) error {
	ctx, cancel := context.WithDeadline(ctx, s.settled)
	defer cancel()
	if err := s.dict.AwaitInSync(ctx); errors.Is(err, p2psync.ErrRefused) || errors.Is(err, mesh.ErrNoCommonNetwork) {
		return err
	}
	return nil
}

// found calls look. If the key is not there, found calls look again when the store is ready.
func found[T any](ctx context.Context, s *syncStore, look func() (T, error)) (T, error) {
	v, err := look()
	if !errors.Is(err, p2psync.ErrNotFound) {
		return v, err
	}
	if refusal := s.ready(ctx); refusal != nil {
		return v, refusal
	}
	return look()
}

func (s *syncStore) get(ctx context.Context, key string) (any, error) {
	it, err := found(ctx, s, func() (p2psync.Item, error) { return s.dict.Item(key) })
	return toSyncItem(it), err
}

func toSyncItem(it p2psync.Item) SyncItem {
	return SyncItem{Key(it.Key), value.JSON(it.Value), it.Lease.Owner, it.Lease.Term, it.Lease.Until, it.Lease.Signed}
}

func toLease(key string, l p2psync.Lease) Lease {
	return Lease{Key(key), l.Owner, l.Term, l.Until, l.For.Seconds(), l.Signed}
}

// acks returns the option to wait for n other members.
func acks(n int) (opts []p2psync.WriteOption) {
	if n > 0 {
		opts = append(opts, p2psync.Acks(n))
	}
	return opts
}

func (s *syncStore) set(ctx context.Context, key string, v any, n int) (any, error) {
	return s.written(key, s.dict.Set(ctx, key, v, acks(n)...))
}

func (s *syncStore) delta(ctx context.Context, key string, d map[string]any, n int) (any, error) {
	return s.written(key, s.dict.ApplyDelta(ctx, key, d, acks(n)...))
}

// written returns the lease of a key after a write, or the error of the write.
func (s *syncStore) written(key string, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	l, err := s.dict.Lease(key)
	if err != nil { // deleted meanwhile
		l = p2psync.Lease{}
	}
	return toLease(key, l), nil
}

func (s *syncStore) remove(ctx context.Context, key string, n int) error {
	return s.dict.Delete(ctx, key, acks(n)...)
}

func (s *syncStore) pop(ctx context.Context, key string, n int) (any, error) {
	return s.dict.Pop(ctx, key, acks(n)...)
}

func (s *syncStore) update(ctx context.Context, items map[string]any, n int) error {
	return s.dict.Update(ctx, items, acks(n)...)
}

func (s *syncStore) keys(context.Context) iter.Seq2[any, error] {
	return func(yield func(any, error) bool) {
		for key := range s.dict.Keys() {
			if !yield(SyncItem{Key: Key(key)}, nil) {
				return
			}
		}
	}
}

func (s *syncStore) items(_ context.Context, prefix string) iter.Seq2[any, error] {
	return func(yield func(any, error) bool) {
		for it := range s.dict.Items(prefix) {
			if !yield(toSyncItem(it), nil) {
				return
			}
		}
	}
}

func (s *syncStore) watch(ctx context.Context, prefix, from string) (iter.Seq2[Change, error], error) {
	return convert(s.dict.Watch(ctx, prefix, p2psync.Revision(from)), toSyncChange), nil
}

func toSyncChange(c p2psync.Change) Change {
	out := Change{
		Event: string(c.Kind), Value: value.JSON(c.Value), Old: value.JSON(c.Old),
		Owner: c.Owner, Term: c.Term, Time: c.Time, Revision: string(c.Revision),
	}
	if c.Kind != p2psync.Reset {
		key := Key(c.Key)
		out.Key = &key
	}
	return out
}

func (s *syncStore) status() SyncStatus {
	d := s.dict.Status()
	st := SyncStatus{
		Keys: d.Keys, Bytes: d.Bytes, MaxBytes: d.MaxBytes, InSync: !d.Full && d.Waiting == 0, Full: d.Full,
		Waiting: d.Waiting, Lease: d.Lease.Seconds(), Term: d.Term, Peers: []SyncPeer{},
	}
	if d.Failed != nil {
		st.Failed = d.Failed.Error()
	}
	for _, p := range d.Peers {
		sp := SyncPeer{ID: p.Peer.String(), Skew: p.Skew.Seconds()}
		if p.Refused != nil {
			sp.Refused = p.Refused.Error()
		}
		if !p.InSync.IsZero() {
			sp.InSyncAt = &p.InSync
		}
		st.InSync = st.InSync && sp.InSyncAt != nil
		st.Peers = append(st.Peers, sp)
	}
	return st
}
