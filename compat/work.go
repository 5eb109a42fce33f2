package compat

import (
	"context"
	"sync"
)

// A cause is why a key has to be looked at. Both sides may have changed.
type cause struct {
	native  bool // the native side has changed
	old     bool // the old one has
	owner   string
	time    int64
	gone    bool     // of a table: the key was deleted
	contest *contest // a write in the old network that was not taken here
}

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

// fromNative adds a key that the native side has changed, when there is room.
func (w *work) fromNative(ctx context.Context, key string) error {
	for {
		w.mu.Lock()
		if len(w.keys) < maxNativeWork {
			w.add(key, cause{native: true})
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

// add adds a key, or another reason to look at it. What the old side has done last counts.
func (w *work) add(key string, c cause) {
	before, known := w.keys[key]
	if !known {
		w.order = append(w.order, key)
	}
	c.native = c.native || before.native
	if !c.old && c.contest == nil {
		c.old, c.owner, c.time, c.gone, c.contest = before.old, before.owner, before.time, before.gone, before.contest
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
