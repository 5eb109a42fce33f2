package sync

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/p2p-today/go2p/sync/internal/replica"
)

// Relayed says who wrote something in another network, from which a member relays it.
// None of it is proven.
type Relayed = replica.Relayed

// LegacyPrefix begins the owners of what came over an old link: legacy:<subnet>/<id>.
const LegacyPrefix = replica.LegacyPrefix

var errOwner = errors.New("no owner in another network")

// Relay gives a key a value on behalf of a writer in another network, who becomes its
// owner. It does nothing if the key already has that value of that owner, so that several
// members can relay the same write. A write that a peer made without knowledge of it is
// higher. Errors: those of Set.
func (d *Dict) Relay(ctx context.Context, by Relayed, key string, v any) error {
	o, err := setting(key, v)
	if err == nil {
		err = checkRelayed(by)
	}
	if err != nil {
		return fmt.Errorf("sync: relay %q: %w", key, err)
	}
	o.By = &by
	return d.do(ctx, "relay", len(o.Key)+len(o.Value), nil, func(r *replica.Replica) ([]replica.Op, error) {
		held := r.Get(key)
		if held != nil && held.Owner == by.Owner && held.Value == o.Value && held.Time >= by.Time.UnixMilli() {
			return nil, nil
		}
		return []replica.Op{o}, nil
	})
}

// RelayDelete removes a key on behalf of its owner in another network. Errors: those of
// Delete.
func (d *Dict) RelayDelete(ctx context.Context, by Relayed, key string) error {
	if err := checkRelayed(by); err != nil {
		return fmt.Errorf("sync: relay %q: %w", key, err)
	}
	return d.do(ctx, "relay", len(key), nil, always(replica.Op{Key: key, Delete: true, By: &by}))
}

func checkRelayed(by Relayed) error {
	if !strings.HasPrefix(by.Owner, LegacyPrefix) || len(by.Owner) > replica.MaxName {
		return fmt.Errorf("%w: %q", errOwner, by.Owner)
	}
	return nil
}
