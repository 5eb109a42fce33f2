package sync

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/p2p-today/go2p/internal/value"
	"github.com/p2p-today/go2p/mesh"
)

// Limits of what is written at once.
const (
	MaxUpdate = 64 << 20 // bytes of keys and values in one Update

	batchBytes = 256 << 10     // under one signature, if it is more than one record
	maxQueued  = 2 * MaxUpdate // bytes of writes that wait; more wait for room
	firstWait  = 2 * time.Second
)

// ErrTooLarge says that a key has more than MaxKey bytes, a value more than MaxValue, or
// an Update more than MaxUpdate.
var ErrTooLarge = errors.New("too large")

// A WriteOption changes what a write does.
type WriteOption func(*write)

// Acks has a write wait until so many other members have it on disk, if they have one.
// If the context ends before, the write has happened all the same.
func Acks(n int) WriteOption { return func(w *write) { w.acks = n } }

// A write waits to be decided.
type write struct {
	build func(*replica) ([]op, error) // what to do, as things are then
	bytes int
	acks  int

	done chan struct{}
	last dot // of what it wrote; zero if that was nothing
	err  error
}

// Set gives a key a value, which becomes this peer's for a lease. It returns when that
// is on disk, if the dictionary has a directory; then it goes to the other members.
//
// Errors: *LeaseError if the key is another's, *TypeError, ErrTooLarge, ErrFull,
// ErrRefused if no neighbour has the same leases, ErrStore if the disk does not take it,
// ErrClosed, or the context's. After the context's error the write may still happen.
func (d *Dict) Set(ctx context.Context, key string, v any, opts ...WriteOption) error {
	o, err := setting(key, v)
	if err != nil {
		return fmt.Errorf("sync: set %q: %w", key, err)
	}
	return d.do(ctx, "set", len(o.key)+len(o.value), opts, func(*replica) ([]op, error) { return []op{o}, nil })
}

// setting checks a key and a value.
func setting(key string, v any) (op, error) {
	data, err := value.Encode(v)
	if err != nil {
		return op{}, err
	}
	return encoded(key, data)
}

// encoded checks a key, and the size of a value.
func encoded(key string, data []byte) (op, error) {
	switch {
	case len(key) > MaxKey:
		return op{}, fmt.Errorf("%w: a key of %d bytes, at most %d", ErrTooLarge, len(key), MaxKey)
	case len(data) > MaxValue:
		return op{}, fmt.Errorf("%w: a value of %d bytes, at most %d", ErrTooLarge, len(data), MaxValue)
	}
	return op{key: key, value: string(data)}, nil
}

// do runs a write to its end.
func (d *Dict) do(ctx context.Context, what string, bytes int, opts []WriteOption, build func(*replica) ([]op, error)) error {
	w := &write{build: build, bytes: bytes}
	for _, o := range opts {
		o(w)
	}
	err := d.submit(ctx, w)
	if err == nil && w.acks > 0 {
		err = d.awaitAcks(ctx, w.last, w.acks)
	}
	if err != nil {
		err = fmt.Errorf("sync: %s: %w", what, err)
	}
	return err
}

// Update gives several keys their values, all or none of them: with an error nothing has
// changed. Others may see one before another. Errors: those of Set.
func (d *Dict) Update(ctx context.Context, items map[string]any, opts ...WriteOption) error {
	ops := make([]op, 0, len(items))
	for _, key := range slices.Sorted(maps.Keys(items)) {
		o, err := setting(key, items[key])
		if err != nil {
			return fmt.Errorf("sync: update %q: %w", key, err)
		}
		ops = append(ops, o)
	}
	return d.update(ctx, ops, opts)
}

func (d *Dict) update(ctx context.Context, ops []op, opts []WriteOption) error {
	bytes := 0
	for _, o := range ops {
		bytes += len(o.key) + len(o.value)
	}
	if bytes > MaxUpdate {
		return fmt.Errorf("sync: update: %w: more than %d bytes", ErrTooLarge, MaxUpdate)
	}
	return d.do(ctx, "update", bytes, opts, func(*replica) ([]op, error) { return ops, nil })
}

// Delete removes a key, and with it the lease. Errors: ErrNotFound, and those of Set.
func (d *Dict) Delete(ctx context.Context, key string, opts ...WriteOption) error {
	return d.do(ctx, "delete", len(key), opts, func(*replica) ([]op, error) { return []op{{key: key, delete: true}}, nil })
}

// Pop removes a key and returns the value that it had. Errors: those of Delete.
func (d *Dict) Pop(ctx context.Context, key string, opts ...WriteOption) (any, error) {
	var held *entry
	err := d.do(ctx, "pop", len(key), opts, func(r *replica) ([]op, error) {
		held = r.tree.get(key)
		return []op{{key: key, delete: true}}, nil
	})
	if err != nil {
		return nil, err
	}
	return held.decode()
}

// PopItem removes a key that this peer may write, the first if there are several, and
// returns it with the value that it had. Errors: ErrNotFound if there is no key,
// *LeaseError if all are others', and those of Set.
func (d *Dict) PopItem(ctx context.Context, opts ...WriteOption) (string, any, error) {
	var held *entry
	err := d.do(ctx, "pop item", 0, opts, func(r *replica) ([]op, error) {
		now, err := d.now(), error(ErrNotFound)
		for e := range r.tree.all(span{}) {
			if _, _, err = r.rules.write(now, e, r.top); err == nil {
				held = e
				return []op{{key: e.key, delete: true}}, nil
			}
		}
		return nil, err
	})
	if err != nil {
		return "", nil, err
	}
	v, err := held.decode()
	return held.key, v, err
}

// ApplyDelta puts the entries of a map into the map that a key has as its value, one
// level deep; a key that is not there has an empty one. Errors: ErrNoMap if the value
// is something else, and those of Set.
func (d *Dict) ApplyDelta(ctx context.Context, key string, delta map[string]any, opts ...WriteOption) error {
	checked, err := setting(key, delta)
	if err != nil {
		return fmt.Errorf("sync: delta %q: %w", key, err)
	}
	return d.do(ctx, "delta", len(checked.key)+len(checked.value), opts, func(r *replica) ([]op, error) {
		merged := map[string]any{}
		if held := r.tree.get(key); held != nil {
			v, err := held.decode()
			if err != nil {
				return nil, err
			}
			m, ok := v.(map[string]any)
			if !ok {
				return nil, fmt.Errorf("%w: %q", ErrNoMap, key)
			}
			merged = m
		}
		maps.Copy(merged, delta)
		o, err := setting(key, merged)
		return []op{o}, err
	})
}

// ErrNoMap says that a delta was applied to a value that is no map.
var ErrNoMap = errors.New("the value is no map")

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
			return w.err
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
	return w.err
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
			w.err = cmp.Or(w.err, err)
		}
	}
	d.mu.Lock()
	if d.failed != nil {
		d.mu.Unlock()
		fail(d.failed)
		return
	}
	if !d.named { // it was not compared with others in this run: perhaps it came from a backup
		d.replica.writer, d.first, d.named = d.newName(), 1, true
	}
	now := d.now()
	var out effects
	var entries []*entry
	for _, w := range writes {
		ops, err := w.build(d.replica)
		var planned []*entry
		if err == nil {
			planned, err = d.replica.plan(now, ops)
		}
		if err != nil {
			w.err = err
			continue
		}
		d.replica.commit(now, planned, &out)
		entries = append(entries, planned...)
		if n := len(planned); n > 0 {
			w.last = planned[n-1].dot
		}
	}
	messages, err := d.sign(entries)
	wait := func() error { return nil }
	if err == nil && d.store != nil && len(entries) > 0 {
		wait, err = d.store.begin(d.replica, out, now.count)
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

// publish sends batches to the other members. Nobody may hold mu: pubsub waits for those
// who judge, who wait for it.
func (d *Dict) publish(messages [][]byte) {
	for _, data := range messages {
		if err := d.topic.Publish(d.ctx, data); err != nil {
			d.log.Warn("cannot send: others catch up later", "err", err)
		}
	}
}

// fail ends writing, after the store did not take what it was given.
func (d *Dict) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failed = err
	d.log.Error("nothing can be written any more", "err", err)
}

// sign puts records under as few signatures as can be, and returns the messages that
// carry them.
func (d *Dict) sign(entries []*entry) (messages [][]byte, err error) {
	for len(entries) > 0 {
		n, bytes := 0, 0
		for n < len(entries) && n < maxBatch && (n == 0 || bytes+entries[n].size() <= batchBytes) {
			bytes += entries[n].size()
			n++
		}
		var nonce digest
		rand.Read(nonce[:])
		b := newBatch(d.replica.writer, nonce, slices.Clone(entries[:n]))
		if b.sig, err = d.mesh.Sign(batchPurpose, b.toSign()); err != nil {
			return nil, err
		}
		places := make([]int, n)
		for i := range places {
			places[i] = i
		}
		messages = append(messages, b.append(make([]byte, 0, b.size(places)), places, b.leaves[0].renewed))
		for _, e := range entries[:n] {
			if d.replica.tree.get(e.key) != e { // a delete, or replaced already
				b.drop(e)
			}
		}
		entries = entries[n:]
	}
	return messages, nil
}

const batchPurpose = "go2p-sync-batch-1"

// awaitFirst waits until this replica has caught up with a neighbour after its start, or
// there is none, or two seconds have passed: before that it may not know what is its
// own. It also says if all neighbours have refused.
func (d *Dict) awaitFirst(ctx context.Context) error {
	var end <-chan time.Time
	for {
		d.levelMu.Lock()
		met := d.met
		why := d.levels.alone()
		level := d.levels.level()
		none := len(d.levels.peers) == 0
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

// awaitAcks waits until so many neighbours have what was written.
func (d *Dict) awaitAcks(ctx context.Context, last dot, n int) error {
	if last.n == 0 {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	asked := map[string]bool{}
	acks := make(chan struct{})
	for got := 0; got < n; {
		d.levelMu.Lock()
		met := d.met
		for id := range d.levels.peers {
			if !asked[id] && d.begin() {
				asked[id] = true
				go func() {
					defer d.wg.Done()
					if d.askFor(ctx, id, last) == nil {
						select {
						case acks <- struct{}{}:
						case <-ctx.Done():
						}
					}
				}()
			}
		}
		d.levelMu.Unlock()
		select {
		case <-acks:
			got++
		case <-met:
		case <-d.ctx.Done():
			return ErrClosed
		case <-ctx.Done():
			return fmt.Errorf("%w: it is written here, and %d of %d others have said that they have it: %w", ErrUnacknowledged, got, n, ctx.Err())
		}
	}
	return nil
}

// ErrUnacknowledged says that a write was not acknowledged by as many members as were
// asked for, in time. It has happened all the same.
var ErrUnacknowledged = errors.New("not acknowledged")

// TypeError says that a value is not of the data model.
type TypeError = mesh.TypeError
