package control

import (
	"context"
	"errors"
	"iter"
	"net/http"

	"github.com/p2p-today/go2p/internal/value"
	p2psync "github.com/p2p-today/go2p/sync"
)

const maxUpdateRequest = 3 * p2psync.MaxUpdate // base64 makes four bytes of three, and keys need some

// A store is what kvRoutes need of a key-value store. What it returns is encoded as JSON. A store without
// acknowledgements or revisions ignores acks and from.
type store interface {
	// ready waits for what a peer that has just started does not have yet. The methods get and watch call it themselves.
	ready(ctx context.Context) error
	get(ctx context.Context, key string) (any, error)
	set(ctx context.Context, key string, v any, acks int) (any, error)
	delta(ctx context.Context, key string, d map[string]any, acks int) (any, error)
	remove(ctx context.Context, key string, acks int) error
	pop(ctx context.Context, key string, acks int) (any, error)
	update(ctx context.Context, items map[string]any, acks int) error
	keys(ctx context.Context) iter.Seq2[any, error]
	items(ctx context.Context, prefix string) iter.Seq2[any, error]
	watch(ctx context.Context, prefix, from string) (iter.Seq2[Change, error], error)
}

// kvRoutes answer for a store.
type kvRoutes struct{ store store }

func (s *kvRoutes) add(mux *http.ServeMux, name Store) {
	mux.HandleFunc("POST "+name.Path(Get), answer(s.get))
	mux.HandleFunc("POST "+name.Path(Set), answer(s.set))
	mux.HandleFunc("POST "+name.Path(Delta), answer(s.delta))
	mux.HandleFunc("POST "+name.Path(Delete), answer(s.delete))
	mux.HandleFunc("POST "+name.Path(Pop), answer(s.pop))
	mux.HandleFunc("POST "+name.Path(Update), answerUpTo(maxUpdateRequest, s.update))
	mux.HandleFunc("GET "+name.Path(Items), s.items)
	mux.HandleFunc("GET "+name.Path(Watch), s.watch)
}

func (s *kvRoutes) get(ctx context.Context, q KeyRequest) (any, error) {
	return s.store.get(ctx, string(q.Key))
}

func (s *kvRoutes) set(ctx context.Context, q KeyRequest) (any, error) {
	v, err := value.FromJSON(q.Value)
	if err != nil {
		return nil, badRequest(err)
	}
	if err := s.store.ready(ctx); err != nil {
		return nil, err
	}
	return s.store.set(ctx, string(q.Key), v, q.Acks)
}

func (s *kvRoutes) delta(ctx context.Context, q KeyRequest) (any, error) {
	v, err := value.FromJSON(q.Value)
	if err != nil {
		return nil, badRequest(err)
	}
	d, ok := v.(map[string]any)
	if !ok {
		return nil, badRequest(errors.New("a delta is a JSON object"))
	}
	if err := s.store.ready(ctx); err != nil {
		return nil, err
	}
	return s.store.delta(ctx, string(q.Key), d, q.Acks)
}

func (s *kvRoutes) delete(ctx context.Context, q KeyRequest) (OK, error) {
	if err := s.store.ready(ctx); err != nil {
		return OK{}, err
	}
	return OK{true}, s.store.remove(ctx, string(q.Key), q.Acks)
}

func (s *kvRoutes) pop(ctx context.Context, q KeyRequest) (KeyValue, error) {
	if err := s.store.ready(ctx); err != nil {
		return KeyValue{}, err
	}
	v, err := s.store.pop(ctx, string(q.Key), q.Acks)
	return KeyValue{q.Key, value.JSON(v)}, err
}

func (s *kvRoutes) update(ctx context.Context, q UpdateRequest) (OK, error) {
	if err := s.store.ready(ctx); err != nil {
		return OK{}, err
	}
	items := make(map[string]any, len(q.Items))
	for _, it := range q.Items {
		items[string(it.Key)] = it.Value
	}
	return OK{true}, s.store.update(ctx, items, q.Acks)
}

func (s *kvRoutes) items(w http.ResponseWriter, r *http.Request) {
	if err := s.store.ready(r.Context()); err != nil {
		fail(w, err)
		return
	}
	q := r.URL.Query()
	list := s.store.items(r.Context(), q.Get("prefix"))
	if q.Get("keys") == "1" {
		list = s.store.keys(r.Context())
	}
	l := newLines(w)
	for it, err := range list {
		if err != nil {
			it = ListLine{Error: toError(err)}
		}
		if !l.write(it, true) {
			return
		}
	}
}

func (s *kvRoutes) watch(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	changes, err := s.store.watch(r.Context(), q.Get("prefix"), q.Get("from"))
	if err != nil {
		fail(w, err)
		return
	}
	l := newLines(w)
	for c, err := range changes {
		if err != nil || !l.write(c, false) {
			return
		}
	}
}

// convert returns the sequence of what to returns for the values of list.
func convert[A, B any](list iter.Seq2[A, error], to func(A) B) iter.Seq2[B, error] {
	return func(yield func(B, error) bool) {
		for a, err := range list {
			if !yield(to(a), err) {
				return
			}
		}
	}
}
