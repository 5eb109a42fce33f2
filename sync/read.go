package sync

import (
	"fmt"
	"iter"
	"time"

	"github.com/p2p-today/go2p/sync/internal/replica"
)

// Get returns the value of a key, as this replica has it. The value is the caller's. The error
// is ErrNotFound if there is no such key.
func (d *Dict) Get(key string) (any, error) {
	e := d.pipeline.get(key)
	if e == nil {
		return nil, fmt.Errorf("sync: get: %w: %q", ErrNotFound, key)
	}
	return e.Decode()
}

// An Item is a key with its value and its lease.
type Item struct {
	Key   string
	Value any
	Lease Lease
	Time  time.Time // when it was written, by its author's clock
}

// A Lease says who owns a key.
type Lease = replica.Lease

// Lease returns the lease of a key. The error is ErrNotFound if there is no such key.
func (d *Dict) Lease(key string) (Lease, error) {
	e := d.pipeline.get(key)
	if e == nil {
		return Lease{}, fmt.Errorf("sync: lease: %w: %q", ErrNotFound, key)
	}
	return d.lease(e), nil
}

func (d *Dict) lease(e *replica.Entry) Lease {
	return d.pipeline.lease(e)
}

// Item returns a key with its value and its lease. The error is ErrNotFound if there is no
// such key.
func (d *Dict) Item(key string) (Item, error) {
	e := d.pipeline.get(key)
	if e == nil {
		return Item{}, fmt.Errorf("sync: item: %w: %q", ErrNotFound, key)
	}
	return d.item(e)
}

func (d *Dict) item(e *replica.Entry) (Item, error) {
	v, err := e.Decode()
	return Item{Key: e.Key, Value: v, Lease: d.lease(e), Time: time.UnixMilli(e.Time)}, err
}

// Len returns the number of keys.
func (d *Dict) Len() int { return d.pipeline.usage().Keys }

// Keys yields the keys in order. Like the other iterators it may or may not see what changes
// while it runs. Copy returns the keys and values of one moment.
func (d *Dict) Keys() iter.Seq[string] {
	return func(yield func(string) bool) {
		for e := range d.pipeline.entries("") {
			if !yield(e.Key) {
				return
			}
		}
	}
}

// All yields keys and values in the order of the keys.
func (d *Dict) All() iter.Seq2[string, any] {
	return func(yield func(string, any) bool) {
		for e := range d.pipeline.entries("") {
			v, err := e.Decode()
			if err == nil && !yield(e.Key, v) {
				return
			}
		}
	}
}

// Values yields the values in the order of their keys.
func (d *Dict) Values() iter.Seq[any] {
	return func(yield func(any) bool) {
		for _, v := range d.All() {
			if !yield(v) {
				return
			}
		}
	}
}

// Items yields the keys that begin with a prefix, in order, with their values and leases.
func (d *Dict) Items(prefix string) iter.Seq[Item] {
	return func(yield func(Item) bool) {
		for e := range d.pipeline.entries(prefix) {
			it, err := d.item(e)
			if err == nil && !yield(it) {
				return
			}
		}
	}
}

// Copy returns all keys and values of one moment.
func (d *Dict) Copy() map[string]any {
	entries := d.pipeline.snapshot()
	m := make(map[string]any, len(entries))
	for _, e := range entries {
		if v, err := e.Decode(); err == nil {
			m[e.Key] = v
		}
	}
	return m
}
