// Package keylock has one lock for each key. A goroutine waits for it no longer than its
// context allows.
package keylock

import (
	"context"
	"sync"
)

// Locks are the locks of all keys. A lock takes memory only while a goroutine holds it or
// waits for it. The zero value is ready for use. Its methods may be called concurrently.
type Locks[K comparable] struct {
	mu   sync.Mutex
	used map[K]*lock
}

type lock struct {
	turn  chan struct{} // has a token while the lock is free
	users int           // that hold it or wait for it; guarded by Locks.mu
}

// Lock waits for the lock of a key. Goroutines get it in the order of their calls. The
// caller calls unlock once. The error is the context's.
func (ls *Locks[K]) Lock(ctx context.Context, key K) (unlock func(), err error) {
	l := ls.enter(key)
	select {
	case <-l.turn:
		return func() { l.turn <- struct{}{}; ls.leave(key, l) }, nil
	case <-ctx.Done():
		ls.leave(key, l)
		return nil, ctx.Err()
	}
}

func (ls *Locks[K]) enter(key K) *lock {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	l := ls.used[key]
	if l == nil {
		l = &lock{turn: make(chan struct{}, 1)}
		l.turn <- struct{}{}
		if ls.used == nil {
			ls.used = map[K]*lock{}
		}
		ls.used[key] = l
	}
	l.users++
	return l
}

func (ls *Locks[K]) leave(key K, l *lock) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if l.users--; l.users == 0 {
		delete(ls.used, key)
	}
}
