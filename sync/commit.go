package sync

import (
	"cmp"
	"context"
	"crypto/rand"
	"time"

	"github.com/p2p-today/go2p/sync/internal/replica"
)

const (
	maxQueued = 2 * MaxUpdate   // bytes of writes that wait; more wait for room
	firstWait = 2 * time.Second // for the first catch-up, after the start
)

// A write waits to be decided.
type write struct {
	replica.Update
	bytes int
	acks  int
	done  chan struct{}
}

// submit has a write decided and, if it is allowed, made durable. Writes that wait
// together are made durable together, under as few signatures as can be; one that finds
// nobody at work does it at once.
func (d *Dict) submit(ctx context.Context, w *write) error {
	if err := d.awaitFirst(ctx); err != nil {
		return err
	}
	w.done = make(chan struct{})
	d.queueMu.Lock()
	for !d.closed && len(d.queue) > 0 && d.queued+w.bytes > maxQueued {
		if !d.awaitRoom(ctx) {
			d.queueMu.Unlock()
			return ctx.Err()
		}
	}
	if d.closed {
		d.queueMu.Unlock()
		return ErrClosed
	}
	d.queue = append(d.queue, w)
	d.queued += w.bytes
	if d.committing {
		d.queueMu.Unlock()
		select {
		case <-w.done:
			return w.Err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	d.committing = true
	if d.round() {
		go func() {
			d.queueMu.Lock()
			defer d.queueMu.Unlock()
			for d.round() {
			}
		}()
	}
	d.queueMu.Unlock()
	return w.Err
}

// round commits what waits, and tells whether there is more. The caller holds queueMu,
// which is released meanwhile.
func (d *Dict) round() (more bool) {
	writes := d.queue
	d.queue, d.queued = nil, 0
	d.queueMu.Unlock()
	d.commit(writes)
	for _, w := range writes {
		close(w.done)
	}
	d.queueMu.Lock()
	d.committing = len(d.queue) > 0
	close(d.room)
	d.room = make(chan struct{})
	return d.committing
}

// awaitRoom waits, with queueMu released, for the end of a round.
func (d *Dict) awaitRoom(ctx context.Context) bool {
	room := d.room
	d.queueMu.Unlock()
	defer d.queueMu.Lock()
	select {
	case <-room:
		return true
	case <-ctx.Done():
		return false
	}
}

// commit decides writes, stores them together and sends them.
func (d *Dict) commit(writes []*write) {
	fail := func(err error) {
		for _, w := range writes {
			w.Err = cmp.Or(w.Err, err)
		}
	}
	d.mu.Lock()
	if failed := d.failed; failed != nil {
		d.mu.Unlock()
		fail(failed)
		return
	}
	if !d.named { // it was not compared with others in this run: perhaps it came from a backup
		d.replica.Writer, d.first, d.named = d.newName(), 1, true
	}
	now := d.now()
	updates := make([]*replica.Update, len(writes))
	for i, w := range writes {
		updates[i] = &w.Update
	}
	out := d.replica.Write(now, updates...)
	messages, err := d.replica.Seal(now, out.Written, rand.Reader, d.sign)
	wait := func() error { return nil }
	if err == nil && d.store != nil && len(out.Written) > 0 {
		wait, err = d.store.begin(out, now.Count)
	}
	if err != nil {
		d.failed = err
	} else {
		d.took(now, out)
	}
	d.mu.Unlock()
	if err == nil {
		err = wait()
	}
	if err != nil {
		d.fail(err)
		fail(err)
		return
	}
	d.publish(messages)
}

// fail ends writing, after the store did not take what it was given.
func (d *Dict) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failed = err
	d.log.Error("nothing can be written any more", "err", err)
}

// awaitFirst waits until this replica has caught up with a neighbour after its start, or
// there is none, or two seconds have passed: before that it may not know what is its
// own. It also says if all neighbours have refused.
func (d *Dict) awaitFirst(ctx context.Context) error {
	var end <-chan time.Time
	for {
		d.levelMu.Lock()
		met := d.met
		why := d.levels.Refusal()
		level := d.levels.InSync()
		none := d.levels.Len() == 0
		d.levelMu.Unlock()
		if why != nil {
			return why
		}
		if d.settled.Load() || level || none || time.Since(d.started) >= firstWait {
			d.settled.Store(true)
			return nil
		}
		if end == nil {
			end = time.After(firstWait - time.Since(d.started))
		}
		select {
		case <-met:
		case <-end:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
