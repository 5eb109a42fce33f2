package sync

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

var errOwner = errors.New("no owner in another network")

// Carry gives a key a value on behalf of somebody in another network, whose it becomes. It
// does nothing if that is so already, so that several members can carry the same. A peer's
// write that was made without knowledge of it is higher. Errors: those of Set.
func (d *Dict) Carry(ctx context.Context, by Carried, key string, v any) error {
	o, err := setting(key, v)
	if err == nil {
		err = by.check()
	}
	if err != nil {
		return fmt.Errorf("sync: carry %q: %w", key, err)
	}
	o.By = &by
	return d.do(ctx, "carry", len(o.Key)+len(o.Value), nil, func(r *Replica) ([]Op, error) {
		held := r.Get(key)
		if held != nil && held.Owner == by.Owner && held.Value == o.Value && held.Time >= by.Time.UnixMilli() {
			return nil, nil
		}
		return []Op{o}, nil
	})
}

// CarryDelete removes a key on behalf of somebody in another network. Errors: those of
// Delete.
func (d *Dict) CarryDelete(ctx context.Context, by Carried, key string) error {
	if err := by.check(); err != nil {
		return fmt.Errorf("sync: carry %q: %w", key, err)
	}
	return d.do(ctx, "carry", len(key), nil, func(*Replica) ([]Op, error) {
		return []Op{{Key: key, Delete: true, By: &by}}, nil
	})
}

func (c *Carried) check() error {
	if !strings.HasPrefix(c.Owner, LegacyPrefix) || len(c.Owner) > MaxName {
		return fmt.Errorf("%w: %q", errOwner, c.Owner)
	}
	return nil
}
