package sync

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/p2p-today/go2p/internal/value"
	"github.com/p2p-today/go2p/sync/internal/replica"
)

// Set gives a key a value, which belongs to this peer for a lease. It returns when the write is
// on disk, if the dictionary has a directory. The write is then sent to the other members.
//
// Errors: *LeaseError if another owner has the key, *TypeError, ErrTooLarge, ErrFull,
// ErrRefused if no neighbour has the same leases, ErrStore if the disk does not take it,
// ErrClosed, or the context's. After the context's error the write may still happen.
func (d *Dict) Set(ctx context.Context, key string, v any, opts ...WriteOption) error {
	o, err := setting(key, v)
	if err != nil {
		return fmt.Errorf("sync: set %q: %w", key, err)
	}
	return d.do(ctx, "set", len(o.Key)+len(o.Value), opts, always(o))
}

// setting returns the operation that sets a key, after it has checked key and value.
func setting(key string, v any) (replica.Op, error) {
	data, err := value.Encode(v)
	if err != nil {
		return replica.Op{}, err
	}
	return encoded(key, data)
}

// encoded returns the operation that sets a key, after it has checked their sizes.
func encoded(key string, data []byte) (replica.Op, error) {
	switch {
	case len(key) > MaxKey:
		return replica.Op{}, fmt.Errorf("%w: a key of %d bytes, at most %d", ErrTooLarge, len(key), MaxKey)
	case len(data) > MaxValue:
		return replica.Op{}, fmt.Errorf("%w: a value of %d bytes, at most %d", ErrTooLarge, len(data), MaxValue)
	}
	return replica.Op{Key: key, Value: string(data)}, nil
}

// A builder returns the operations of a write, at the moment when they are decided.
type builder = func(*replica.Replica) ([]replica.Op, error)

// always returns the builder of operations that depend on nothing.
func always(ops ...replica.Op) builder {
	return func(*replica.Replica) ([]replica.Op, error) { return ops, nil }
}

// do runs a write to its end.
func (d *Dict) do(ctx context.Context, what string, bytes int, opts []WriteOption, build builder) error {
	w := &write{Update: replica.Update{Build: build}, bytes: bytes}
	for _, o := range opts {
		o(w)
	}
	err := d.pipeline.submit(ctx, w)
	if err == nil && w.acks > 0 {
		err = d.acks.await(ctx, w.Last, w.acks)
	}
	if err != nil {
		err = fmt.Errorf("sync: %s: %w", what, err)
	}
	return err
}

// Update gives several keys their values, all or none of them: after an error nothing has
// changed. Other members may see one before another. Errors: those of Set.
func (d *Dict) Update(ctx context.Context, items map[string]any, opts ...WriteOption) error {
	ops := make([]replica.Op, 0, len(items))
	for _, key := range slices.Sorted(maps.Keys(items)) {
		o, err := setting(key, items[key])
		if err != nil {
			return fmt.Errorf("sync: update %q: %w", key, err)
		}
		ops = append(ops, o)
	}
	return d.update(ctx, ops, opts)
}

func (d *Dict) update(ctx context.Context, ops []replica.Op, opts []WriteOption) error {
	bytes := 0
	for _, o := range ops {
		bytes += len(o.Key) + len(o.Value)
	}
	if bytes > MaxUpdate {
		return fmt.Errorf("sync: update: %w: more than %d bytes", ErrTooLarge, MaxUpdate)
	}
	return d.do(ctx, "update", bytes, opts, always(ops...))
}

// Delete removes a key, and with it the lease. Errors: ErrNotFound, and those of Set.
func (d *Dict) Delete(ctx context.Context, key string, opts ...WriteOption) error {
	return d.do(ctx, "delete", len(key), opts, always(replica.Op{Key: key, Delete: true}))
}

// Pop removes a key and returns the value that it had. Errors: those of Delete.
func (d *Dict) Pop(ctx context.Context, key string, opts ...WriteOption) (any, error) {
	var held *replica.Entry
	err := d.do(ctx, "pop", len(key), opts, func(r *replica.Replica) ([]replica.Op, error) {
		held = r.Get(key)
		return []replica.Op{{Key: key, Delete: true}}, nil
	})
	if err != nil {
		return nil, err
	}
	return held.Decode()
}

// PopItem removes the first key that this peer may write. It returns the key and the value
// that it had. Errors: ErrNotFound if there is no key, *LeaseError if others own all keys, and
// those of Set.
func (d *Dict) PopItem(ctx context.Context, opts ...WriteOption) (string, any, error) {
	var held *replica.Entry
	err := d.do(ctx, "pop item", 0, opts, func(r *replica.Replica) ([]replica.Op, error) {
		now, err := d.clock.now(), error(ErrNotFound)
		for e := range r.All("") {
			if err = r.MayWrite(now, e); err == nil {
				held = e
				return []replica.Op{{Key: e.Key, Delete: true}}, nil
			}
		}
		return nil, err
	})
	if err != nil {
		return "", nil, err
	}
	v, err := held.Decode()
	return held.Key, v, err
}

// ApplyDelta sets entries of the map that is the value of a key, one level deep. If the key is
// not there it gets the entries as its value. Errors: ErrNoMap if the value is something else,
// and those of Set.
func (d *Dict) ApplyDelta(ctx context.Context, key string, delta map[string]any, opts ...WriteOption) error {
	checked, err := setting(key, delta)
	if err != nil {
		return fmt.Errorf("sync: delta %q: %w", key, err)
	}
	size := len(checked.Key) + len(checked.Value)
	return d.do(ctx, "delta", size, opts, func(r *replica.Replica) ([]replica.Op, error) {
		merged := map[string]any{}
		if held := r.Get(key); held != nil {
			v, err := held.Decode()
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
		return []replica.Op{o}, err
	})
}
