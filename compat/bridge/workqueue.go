package bridge

import (
	"context"
	"sync"

	"github.com/p2p-today/go2p/compat/bridge/internal/workqueue"
	"github.com/p2p-today/go2p/internal/notify"
)

// maxNativeWork is how many keys may wait when a native change is added.
const maxNativeWork = 4096

type cause = workqueue.Cause

// A workQueue is a workqueue.Queue with producers on either side and one consumer, a portal. It is
//
//   - fair and stingy, as that is;
//   - bounded by what old nodes may hold: their changes never wait, as the node's lock is held when they come;
//   - slow to native changes: they wait while there are many, and the native side looks at all again if it loses some.
//
// mu guards it.
type workQueue struct {
	mu    sync.Mutex
	queue *workqueue.Queue
	more  notify.Flag      // there is a key
	room  notify.Broadcast // a key was taken
}

func newWorkQueue() *workQueue { return &workQueue{queue: workqueue.New(), more: notify.NewFlag()} }

// addOld adds a key that the old side has changed. It does not block.
func (w *workQueue) addOld(key string, c cause) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queue.Add(key, c)
	w.more.Set()
}

// addAgain adds a key that was taken for a cause; causes that were added since are later.
func (w *workQueue) addAgain(key string, c cause) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queue.AddAgain(key, c)
	w.more.Set()
}

// addNative adds a key that the native side has changed, when there is room. Error: the context's.
func (w *workQueue) addNative(ctx context.Context, key string, c cause) error {
	c.Native = true
	return w.room.Await(ctx, &w.mu, func() bool {
		if w.queue.Len() >= maxNativeWork {
			return false
		}
		w.queue.Add(key, c)
		w.more.Set()
		return true
	})
}

// take waits for a key. Error: the context's.
func (w *workQueue) take(ctx context.Context) (key string, c cause, err error) {
	for {
		w.mu.Lock()
		key, c, ok := w.queue.Take()
		w.mu.Unlock()
		if ok {
			w.room.Notify()
			return key, c, nil
		}
		select {
		case <-w.more.C():
		case <-ctx.Done():
			return "", c, ctx.Err()
		}
	}
}
