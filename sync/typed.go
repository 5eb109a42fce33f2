package sync

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/p2p-today/go2p/internal/dcbor"
	"github.com/p2p-today/go2p/internal/value"
	"github.com/p2p-today/go2p/sync/internal/replica"
)

// Typed is a view of the keys of a dictionary that begin with a prefix, whose values are all of
// one Go type. The values of the type must be of the data model in CBOR: a struct is a map by
// the names of its fields, or the names in its cbor tags. Its methods may be called
// concurrently.
type Typed[K ~string, V any] struct {
	dict   *Dict
	prefix string
}

// NewTyped returns a view. Its keys are those of the dictionary without the prefix.
func NewTyped[K ~string, V any](d *Dict, prefix string) *Typed[K, V] {
	return &Typed[K, V]{d, prefix}
}

var typedDecoder = dcbor.Decoder(value.MaxValues, value.MaxDepth+2)

func (t *Typed[K, V]) decode(e *replica.Entry) (v V, err error) {
	if err := typedDecoder.Unmarshal([]byte(e.Value), &v); err != nil {
		return v, fmt.Errorf("sync: %q is no %T: %w", e.Key, v, err)
	}
	return v, nil
}

func (t *Typed[K, V]) setting(key K, v V) (replica.Op, error) {
	data, err := dcbor.Marshal(v)
	if err != nil {
		return replica.Op{}, fmt.Errorf("sync: %q: %w", t.prefix+string(key), err)
	}
	if !value.Valid(data) {
		err := &TypeError{Reason: fmt.Sprintf("%T is not of the data model in CBOR", v)}
		return replica.Op{}, fmt.Errorf("sync: %q: %w", t.prefix+string(key), err)
	}
	return encoded(t.prefix+string(key), data)
}

// Get returns the value of a key. Errors: ErrNotFound, or the value is of another type.
func (t *Typed[K, V]) Get(key K) (v V, err error) {
	e := t.dict.pipeline.get(t.prefix + string(key))
	if e == nil {
		return v, fmt.Errorf("sync: get: %w: %q", ErrNotFound, t.prefix+string(key))
	}
	return t.decode(e)
}

// Set gives a key a value. Errors: those of [Dict.Set].
func (t *Typed[K, V]) Set(ctx context.Context, key K, v V, opts ...WriteOption) error {
	return t.Update(ctx, map[K]V{key: v}, opts...)
}

// Update gives several keys their values, all or none of them. Errors: those of
// [Dict.Set].
func (t *Typed[K, V]) Update(ctx context.Context, items map[K]V, opts ...WriteOption) error {
	ops := make([]replica.Op, 0, len(items))
	for _, key := range slices.Sorted(maps.Keys(items)) {
		o, err := t.setting(key, items[key])
		if err != nil {
			return err
		}
		ops = append(ops, o)
	}
	return t.dict.update(ctx, ops, opts)
}

// Delete removes a key. Errors: those of [Dict.Delete].
func (t *Typed[K, V]) Delete(ctx context.Context, key K, opts ...WriteOption) error {
	return t.dict.Delete(ctx, t.prefix+string(key), opts...)
}

// All yields keys and values in the order of the keys, without those of another type.
func (t *Typed[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for e := range t.dict.pipeline.entries(t.prefix) {
			v, err := t.decode(e)
			if err == nil && !yield(K(e.Key[len(t.prefix):]), v) {
				return
			}
		}
	}
}
