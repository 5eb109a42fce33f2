package sync

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/p2p-today/go2p/sync/internal/replica"
)

// A Carried says who has written something in another network, from which a member carries
// it over. Nothing of it is proven.
type Carried = replica.Carried

// LegacyPrefix begins the owners of what came over an old link: legacy:<subnet>/<id>.
const LegacyPrefix = replica.LegacyPrefix

var errOwner = errors.New("no owner in another network")

// Carry gives a key a value on behalf of somebody in another network, whose it becomes. It
// does nothing if that is so already, so that several members can carry the same. A peer's
// write that was made without knowledge of it is higher. Errors: those of Set.
func (d *Dict) Carry(ctx context.Context, by Carried, key string, v any) error {
	o, err := setting(key, v)
	if err == nil {
		err = checkCarried(by)
	}
	if err != nil {
		return fmt.Errorf("sync: carry %q: %w", key, err)
	}
	o.By = &by
	return d.do(ctx, "carry", len(o.Key)+len(o.Value), nil, func(r *replica.Replica) ([]replica.Op, error) {
		held := r.Get(key)
		if held != nil && held.Owner == by.Owner && held.Value == o.Value && held.Time >= by.Time.UnixMilli() {
			return nil, nil
		}
		return []replica.Op{o}, nil
	})
}

// CarryDelete removes a key on behalf of somebody in another network. Errors: those of
// Delete.
func (d *Dict) CarryDelete(ctx context.Context, by Carried, key string) error {
	if err := checkCarried(by); err != nil {
		return fmt.Errorf("sync: carry %q: %w", key, err)
	}
	return d.do(ctx, "carry", len(key), nil, func(*replica.Replica) ([]replica.Op, error) {
		return []replica.Op{{Key: key, Delete: true, By: &by}}, nil
	})
}

func checkCarried(by Carried) error {
	if !strings.HasPrefix(by.Owner, LegacyPrefix) || len(by.Owner) > replica.MaxName {
		return fmt.Errorf("%w: %q", errOwner, by.Owner)
	}
	return nil
}
