package compat

import (
	"context"
	"sync"
)

// A work is keys that have to be looked at. It grows with what old dictionaries may have,
// but native changes wait.
type work struct {
	mu    sync.Mutex
	keys  map[string]cause
	order []string
	more  chan struct{} // room for one
	room  chan struct{} // closed, and replaced, when a key was taken
}

const maxNativeWork = 4096 // keys that wait, of which native ones may be

func newWork() *work {
	return &work{keys: map[string]cause{}, more: make(chan struct{}, 1), room: make(chan struct{})}
}

// old adds a key that the old side has changed.
func (w *work) old(key string, c cause) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.add(key, c)
}

// again adds a key that was looked at for a cause; what has come since is later.
func (w *work) again(key string, c cause) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if since, waits := w.keys[key]; waits {
		w.keys[key] = c.and(since)
		return
	}
	w.add(key, c)
}

// fromNative adds a key that the native side has changed, when there is room.
func (w *work) fromNative(ctx context.Context, key string, c cause) error {
	c.native = true
	for {
		w.mu.Lock()
		if len(w.keys) < maxNativeWork {
			w.add(key, c)
			w.mu.Unlock()
			return nil
		}
		room := w.room
		w.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// add adds a key, or another cause to look at it. The caller holds mu.
func (w *work) add(key string, c cause) {
	if before, waits := w.keys[key]; waits {
		c = before.and(c)
	} else {
		w.order = append(w.order, key)
	}
	w.keys[key] = c
	select {
	case w.more <- struct{}{}:
	default:
	}
}

// take waits for a key.
func (w *work) take(ctx context.Context) (key string, c cause, err error) {
	for {
		w.mu.Lock()
		if len(w.order) > 0 {
			key, w.order = w.order[0], w.order[1:]
			c = w.keys[key]
			delete(w.keys, key)
			close(w.room)
			w.room = make(chan struct{})
			w.mu.Unlock()
			return key, c, nil
		}
		w.mu.Unlock()
		select {
		case <-w.more:
		case <-ctx.Done():
			return "", c, ctx.Err()
		}
	}
}
