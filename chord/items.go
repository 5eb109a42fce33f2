package chord

import (
	"context"
	"errors"
	"fmt"
	"iter"
)

// Items yields the keys that begin with a prefix, as Item returns them but without their
// replicas. They come from node to node around the ring, as fast as the loop takes them,
// each as one of its replicas has it, in no useful order. A change meanwhile is seen or not.
// If the sequence ends early, its last error is one of Get.
func (t *Table) Items(ctx context.Context, prefix string) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		for e, err := range t.walker.entries(ctx, prefix, true) {
			var it Item
			if err == nil {
				it, err = (&readResult{Write: e.Write, value: e.Value}).item(e.Key)
			} else {
				err = fmt.Errorf("chord: items: %w", err)
			}
			if !yield(it, err) || err != nil {
				return
			}
		}
	}
}

// Keys yields the keys, as Items does.
func (t *Table) Keys(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for e, err := range t.walker.entries(ctx, "", false) {
			if err != nil {
				err = fmt.Errorf("chord: keys: %w", err)
			}
			if !yield(e.Key, err) || err != nil {
				return
			}
		}
	}
}

// All yields keys and values, as Items does. When the loop is over, err says whether it
// ended early.
func (t *Table) All(ctx context.Context) (all iter.Seq2[string, any], err func() error) {
	var early error
	return func(yield func(string, any) bool) {
		for it, e := range t.Items(ctx, "") {
			if early = e; e != nil || !yield(it.Key, it.Value) {
				return
			}
		}
	}, func() error { return early }
}

// Values yields the values, as Items does.
func (t *Table) Values(ctx context.Context) iter.Seq2[any, error] {
	return func(yield func(any, error) bool) {
		for it, err := range t.Items(ctx, "") {
			if !yield(it.Value, err) {
				return
			}
		}
	}
}

// Copy returns all keys and values, which have to fit into memory. Errors: those of Items.
func (t *Table) Copy(ctx context.Context) (map[string]any, error) {
	m := map[string]any{}
	for it, err := range t.Items(ctx, "") {
		if err != nil {
			return nil, err
		}
		m[it.Key] = it.Value
	}
	return m, nil
}

// PopItem removes some key and returns it with the value that it had. Errors: ErrNotFound
// if there is none, and those of Set.
func (t *Table) PopItem(ctx context.Context) (string, any, error) {
	ctx, cancel := limited(ctx)
	defer cancel()
	for key, err := range t.Keys(ctx) {
		if err != nil {
			return "", nil, err
		}
		v, err := t.Pop(ctx, key)
		if !errors.Is(err, ErrNotFound) {
			return key, v, err
		}
	}
	return "", nil, fmt.Errorf("chord: pop item: %w", ErrNotFound)
}
