package control

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/p2p-today/go2p/internal/value"
	"github.com/p2p-today/go2p/mesh"
	p2psync "github.com/p2p-today/go2p/sync"
)

const (
	maxUpdateRequest = 3 * p2psync.MaxUpdate // base64 makes four bytes of three, and there are names
	levelling        = 5 * time.Second       // how long after its start a peer waits until it is level
)

func (s *Server) routeSync(mux *http.ServeMux) {
	mux.HandleFunc("POST "+PathGet, answer(s.get))
	mux.HandleFunc("POST "+PathLease, answer(s.lease))
	mux.HandleFunc("POST "+PathSet, answer(s.set))
	mux.HandleFunc("POST "+PathDelete, answer(s.delete))
	mux.HandleFunc("POST "+PathPop, answer(s.pop))
	mux.HandleFunc("POST "+PathDelta, answer(s.delta))
	mux.HandleFunc("POST "+PathUpdate, answerUpTo(maxUpdateRequest, s.update))
	mux.HandleFunc("GET "+PathSync, answer(s.syncStatus))
	mux.HandleFunc("GET "+PathItems, s.items)
	mux.HandleFunc("GET "+PathWatch, s.watch)
	mux.HandleFunc("GET "+PathLock, s.lock)
}

// awaitLevel waits, in the first seconds after the start, until the dictionary is level
// with a neighbour while there is hope: before that much may not be here yet.
func (s *Server) awaitLevel(ctx context.Context) error {
	ctx, cancel := context.WithDeadline(ctx, s.started.Add(levelling))
	defer cancel()
	if err := s.dict.AwaitLevel(ctx); errors.Is(err, p2psync.ErrRefused) || errors.Is(err, mesh.ErrNoCommonNetwork) {
		return err
	}
	return nil
}

// found looks a key up. If it is not here, that may be since it has not come yet.
func found[T any](ctx context.Context, s *Server, look func() (T, error)) (T, error) {
	v, err := look()
	if !errors.Is(err, p2psync.ErrNotFound) {
		return v, err
	}
	if refusal := s.awaitLevel(ctx); refusal != nil {
		return v, refusal
	}
	return look()
}

func (s *Server) get(ctx context.Context, q KeyRequest) (Item, error) {
	it, err := found(ctx, s, func() (p2psync.Item, error) { return s.dict.Item(string(q.Key)) })
	return toItem(it), err
}

func toItem(it p2psync.Item) Item {
	return Item{Key(it.Key), value.JSON(it.Value), it.Lease.Owner, it.Lease.Term, it.Lease.Until, it.Lease.Signed}
}

func (s *Server) lease(ctx context.Context, q KeyRequest) (Lease, error) {
	l, err := found(ctx, s, func() (p2psync.Lease, error) { return s.dict.Lease(string(q.Key)) })
	return Lease{q.Key, l.Owner, l.Term, l.Until, l.For.Seconds(), l.Signed}, err
}

// written answers a write with whose the key is now.
func (s *Server) written(key Key) (Lease, error) {
	l, err := s.dict.Lease(string(key))
	if err != nil { // deleted meanwhile
		l = p2psync.Lease{}
	}
	return Lease{key, l.Owner, l.Term, l.Until, l.For.Seconds(), l.Signed}, nil
}

func acks(n int) (opts []p2psync.WriteOption) {
	if n > 0 {
		opts = append(opts, p2psync.Acks(n))
	}
	return opts
}

func (s *Server) set(ctx context.Context, q KeyRequest) (Lease, error) {
	v, err := value.FromJSON(q.Value)
	if err != nil {
		return Lease{}, badRequest(err)
	}
	if err := s.awaitLevel(ctx); err != nil {
		return Lease{}, err
	}
	if err := s.dict.Set(ctx, string(q.Key), v, acks(q.Acks)...); err != nil {
		return Lease{}, err
	}
	return s.written(q.Key)
}

func (s *Server) delta(ctx context.Context, q KeyRequest) (Lease, error) {
	m, err := q.delta()
	if err != nil {
		return Lease{}, err
	}
	if err := s.awaitLevel(ctx); err != nil {
		return Lease{}, err
	}
	if err := s.dict.ApplyDelta(ctx, string(q.Key), m, acks(q.Acks)...); err != nil {
		return Lease{}, err
	}
	return s.written(q.Key)
}

// delta is the value of a request that must be a map.
func (q KeyRequest) delta() (map[string]any, error) {
	v, err := value.FromJSON(q.Value)
	if err != nil {
		return nil, badRequest(err)
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, badRequest(errors.New("a delta is a JSON object"))
	}
	return m, nil
}

func (s *Server) delete(ctx context.Context, q KeyRequest) (OK, error) {
	if err := s.awaitLevel(ctx); err != nil {
		return OK{}, err
	}
	return OK{true}, s.dict.Delete(ctx, string(q.Key), acks(q.Acks)...)
}

func (s *Server) pop(ctx context.Context, q KeyRequest) (KeyValue, error) {
	if err := s.awaitLevel(ctx); err != nil {
		return KeyValue{}, err
	}
	v, err := s.dict.Pop(ctx, string(q.Key), acks(q.Acks)...)
	return KeyValue{q.Key, value.JSON(v)}, err
}

func (s *Server) update(ctx context.Context, q UpdateRequest) (OK, error) {
	if err := s.awaitLevel(ctx); err != nil {
		return OK{}, err
	}
	return OK{true}, s.dict.Update(ctx, q.items(), acks(q.Acks)...)
}

func (q UpdateRequest) items() map[string]any {
	items := make(map[string]any, len(q.Items))
	for _, it := range q.Items {
		items[string(it.Key)] = it.Value
	}
	return items
}

func (s *Server) items(w http.ResponseWriter, r *http.Request) {
	if err := s.awaitLevel(r.Context()); err != nil {
		fail(w, err)
		return
	}
	prefix, keys := r.URL.Query().Get("prefix"), r.URL.Query().Get("keys") == "1"
	l := newLines(w)
	if keys {
		for key := range s.dict.Keys() {
			if !l.write(Item{Key: Key(key)}, true) {
				return
			}
		}
		return
	}
	for it := range s.dict.Items(prefix) {
		if !l.write(toItem(it), true) {
			return
		}
	}
}

func (s *Server) watch(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	l := newLines(w)
	for c, err := range s.dict.Watch(r.Context(), q.Get("prefix"), p2psync.Revision(q.Get("from"))) {
		if err != nil || !l.write(toChange(c), false) {
			return
		}
	}
}

func toChange(c p2psync.Change) Change {
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

func (s *Server) syncStatus(context.Context, struct{}) (SyncStatus, error) {
	return s.dictionary(), nil
}

func (s *Server) dictionary() SyncStatus {
	d := s.dict.Status()
	st := SyncStatus{
		Keys: d.Keys, Bytes: d.Bytes, MaxBytes: d.MaxBytes, Level: !d.Full && d.Waiting == 0, Full: d.Full,
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
		if !p.Level.IsZero() {
			sp.Level = &p.Level
		}
		st.Level = st.Level && sp.Level != nil
		st.Peers = append(st.Peers, sp)
	}
	return st
}

// syncError gives errors of the dictionary their exit code and hint.
func syncError(e *Error, err error) {
	lease, held := errors.AsType[*p2psync.LeaseError](err)
	switch {
	case held:
		e.Exit = ExitLease
		e.Hint = fmt.Sprintf("wait %v, or have %s delete it; `peer sync lease` shows whose a key is", lease.For.Round(time.Second), lease.Owner)
	case errors.Is(err, p2psync.ErrNotFound):
		e.Exit = ExitMissing
		e.Hint = "`peer sync keys` lists what is there; `peer sync status` says with whom this peer is level"
	case errors.Is(err, p2psync.ErrRefused):
		e.Exit = ExitRefused
		e.Hint = "start all peers of a network with the same --lease, or all with --no-lease"
	case errors.Is(err, p2psync.ErrUnacknowledged):
		e.Exit = ExitTimeout
		e.Hint = "see with `peer sync status` who is there"
	case errors.Is(err, p2psync.ErrTooLarge):
		e.Exit = ExitUsage
	}
}
