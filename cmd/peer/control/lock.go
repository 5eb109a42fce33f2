package control

import (
	"context"
	"errors"
	"net/http"
	"os"
	"time"

	p2psync "github.com/p2p-today/go2p/sync"
)

// lock holds the lease of a key for the client, and renews it, until the client is gone
// or the lease is lost. One client at a time has the lock of a key by way of this peer;
// of several peers one has.
func (s *Server) lock(w http.ResponseWriter, r *http.Request) {
	key := r.URL.Query().Get("key")
	wait, cancel := context.WithTimeout(r.Context(), timeout(r))
	defer cancel()
	turn := s.turn(key)
	defer s.leaveTurn(key)
	select {
	case turn <- struct{}{}:
		defer func() { <-turn }()
	case <-wait.Done():
		fail(w, &Error{Text: "another command on this peer holds the lock", Exit: ExitLease, Hint: "wait longer with --timeout"})
		return
	}
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
	end, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), shutdownGrace) // the client is gone
	defer cancel()
	s.dict.Delete(end, key)
}

// turn is where those wait who want the lock of a key by way of this peer.
func (s *Server) turn(key string) chan struct{} {
	s.locksMu.Lock()
	defer s.locksMu.Unlock()
	t := s.locks[key]
	if t == nil {
		t = &queue{turn: make(chan struct{}, 1)}
		s.locks[key] = t
	}
	t.users++
	return t.turn
}

func (s *Server) leaveTurn(key string) {
	s.locksMu.Lock()
	defer s.locksMu.Unlock()
	if t := s.locks[key]; t.users == 1 {
		delete(s.locks, key)
	} else {
		t.users--
	}
}

type queue struct {
	turn  chan struct{}
	users int
}

// acquire waits until the key is free and takes it, with a new term.
func (s *Server) acquire(ctx context.Context, key string) (p2psync.Lease, error) {
	if err := s.awaitLevel(ctx); err != nil {
		return p2psync.Lease{}, err
	}
	host, _ := os.Hostname()
	for {
		if l, err := s.dict.Lease(key); err == nil && l.Owner == s.host.ID().String() {
			s.dict.Delete(ctx, key) // left by a run that was killed: whoever holds it now has a term of its own
		}
		err := s.dict.Set(ctx, key, map[string]any{"host": host, "pid": os.Getpid()})
		if err == nil {
			return s.dict.Lease(key)
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

// awaitChange waits until a key changes, or a time has passed.
func (s *Server) awaitChange(ctx context.Context, key string, d time.Duration) bool {
	wait, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	first := true
	for c, err := range s.dict.Watch(wait, key, "") {
		if err != nil || c.Key == key && !first {
			break
		}
		first = first && c.Key != key // what is there comes first
	}
	return ctx.Err() == nil
}

// hold renews the lease until the context ends or it is lost.
func (s *Server) hold(ctx context.Context, key string, term uint64) {
	every := time.Duration(s.dict.Status().Lease) / 3
	if every == 0 {
		every = time.Minute
	}
	watch, cancel := context.WithCancel(ctx)
	defer cancel()
	lost := make(chan struct{})
	go func() {
		defer close(lost)
		for _, err := range s.dict.Watch(watch, key, "") {
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
			v, err := s.dict.Get(key)
			if err != nil || !s.holds(key, term) || s.dict.Set(ctx, key, v) != nil {
				return
			}
		}
	}
}

// holds tells whether this peer has a key still, and nobody had it in between.
func (s *Server) holds(key string, term uint64) bool {
	l, err := s.dict.Lease(key)
	return err == nil && l.Owner == s.host.ID().String() && l.Term == term
}
