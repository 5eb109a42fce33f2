package control

import (
	"context"
	"errors"
	"net/http"
	"os"
	"time"

	"github.com/p2p-today/go2p/internal/keylock"
	p2psync "github.com/p2p-today/go2p/sync"
)

// releaseTimeout is how long the release of a lock may take.
const releaseTimeout = 2 * time.Second

// A locker holds leases for clients. Of several clients of this peer one has the lock of a key at a time, which turns
// ensures; of several peers one has it, which the lease ensures.
type locker struct {
	store *syncStore
	self  string // this peer's ID
	turns keylock.Locks[string]
}

func (s *locker) add(mux *http.ServeMux) {
	mux.HandleFunc("POST "+PathSyncLock, stream(s.lock))
}

// lock holds the lease of a key for the client, and renews it, until the client is gone or the lease is lost.
func (s *locker) lock(w http.ResponseWriter, r *http.Request, q KeyRequest) {
	key := string(q.Key)
	wait, cancel := context.WithTimeout(r.Context(), timeout(r))
	defer cancel()
	unlock, err := s.turns.Lock(wait, key)
	if err != nil {
		fail(w, &Error{Text: "another command on this peer holds the lock", Code: CodeLockHeld})
		return
	}
	defer unlock()
	lease, err := s.acquire(wait, key)
	if err != nil {
		fail(w, err)
		return
	}
	l := newLines(w)
	if l.write(Locked{"held", lease.Term, lease.Until}, false) {
		s.hold(r.Context(), key, lease.Term)
	}
	if !s.holds(key, lease.Term) {
		l.write(Locked{Event: "lost"}, false)
		return
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), releaseTimeout) // the client is gone
	defer cancel()
	s.store.dict.Delete(end, key)
}

// acquire waits until the key is free and takes it, with a new term.
func (s *locker) acquire(ctx context.Context, key string) (p2psync.Lease, error) {
	if err := s.store.ready(ctx); err != nil {
		return p2psync.Lease{}, err
	}
	host, _ := os.Hostname()
	for {
		if l, err := s.store.dict.Lease(key); err == nil && l.Owner == s.self {
			s.store.dict.Delete(ctx, key) // left by a run that was killed; the new holder needs a new term
		}
		err := s.store.dict.Set(ctx, key, map[string]any{"host": host, "pid": os.Getpid()})
		if err == nil {
			return s.store.dict.Lease(key)
		}
		held, ok := errors.AsType[*p2psync.LeaseError](err)
		if !ok {
			return p2psync.Lease{}, err
		}
		if !s.awaitChange(ctx, key, held.For) {
			return p2psync.Lease{}, err
		}
	}
}

// awaitChange waits until a key changes or the time d has passed. It reports false if the context has ended.
func (s *locker) awaitChange(ctx context.Context, key string, d time.Duration) bool {
	wait, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	first := true
	for c, err := range s.store.dict.Watch(wait, key, "") {
		if err != nil || c.Key == key && !first {
			break
		}
		first = first && c.Key != key // a watch begins with the current value
	}
	return ctx.Err() == nil
}

// hold renews the lease until the context ends or the lease is lost.
func (s *locker) hold(ctx context.Context, key string, term uint64) {
	every := time.Duration(s.store.dict.Status().Lease) / 3
	if every == 0 {
		every = time.Minute
	}
	watch, cancel := context.WithCancel(ctx)
	defer cancel()
	lost := make(chan struct{})
	go func() {
		defer close(lost)
		for _, err := range s.store.dict.Watch(watch, key, "") {
			if err != nil || !s.holds(key, term) {
				return
			}
		}
	}()
	defer func() { cancel(); <-lost }()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-lost:
			return
		case <-tick.C:
			v, err := s.store.dict.Get(key)
			if err != nil || !s.holds(key, term) || s.store.dict.Set(ctx, key, v) != nil {
				return
			}
		}
	}
}

// holds reports whether this peer still has the lease of a key, and nobody else had it in between.
func (s *locker) holds(key string, term uint64) bool {
	l, err := s.store.dict.Lease(key)
	return err == nil && l.Owner == s.self && l.Term == term
}
