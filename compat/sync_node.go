package compat

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/p2p-today/go2p/compat/internal/legacy"
	"github.com/p2p-today/go2p/compat/internal/wire"
)

// A SyncNode is a node of an old sync network: it holds the dictionary that all nodes share. It is made by OpenSync.
type SyncNode struct {
	*MeshNode
	dict *legacy.SyncMap // the lock of the engine guards it
}

// OpenSync makes a node of a sync network, as OpenMesh does of a mesh network.
func OpenSync(ctx context.Context, opts Options) (*SyncNode, error) {
	var n SyncNode
	var err error
	n.MeshNode, err = openNode(opts, Sync, "", func(cfg legacy.Config) (core *legacy.Node) {
		core, n.dict = legacy.NewSyncMap(cfg)
		return core
	}, nil)
	if err != nil {
		return nil, err
	}
	return &n, nil
}

// Get returns the value that this node holds under a key; it is the caller's. Errors: ErrNotFound, ErrClosed.
func (n *SyncNode) Get(ctx context.Context, key string) (v any, err error) {
	var e legacy.Entry
	held := false
	err = n.engine.read(func() { e, held = n.dict.Entry(key) })
	if err == nil && !held {
		err = ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("compat: get %q: %w", key, err)
	}
	return legacy.ToGo(e.Value), nil
}

// Set writes a key. In 0.4 and 0.5 values are text or bytes, and empty ones delete; in
// 0.6 empty bytes delete, in 0.7 nil does. Errors: a *LeaseError if the key is another node's, ErrValue,
// ErrClosed, the context's.
func (n *SyncNode) Set(ctx context.Context, key string, v any) error {
	packets, err := legacy.FromGo(n.network.Version, []any{v})
	if err == nil {
		err = n.awaitRoom(ctx)
	}
	if err == nil {
		err = n.engine.do(func(now time.Time) (legacy.Effects, error) { return n.dict.Write(now, key, packets[0]) })
	}
	if err != nil {
		return fmt.Errorf("compat: set %q: %w", key, err)
	}
	return nil
}

// Delete deletes a key. Nodes that have not got it are not told. Errors: ErrNotFound, and
// those of Set.
func (n *SyncNode) Delete(ctx context.Context, key string) error {
	err := n.engine.do(func(now time.Time) (legacy.Effects, error) { return n.dict.Delete(now, key) })
	if err != nil {
		return fmt.Errorf("compat: delete %q: %w", key, err)
	}
	return nil
}

// ApplyDelta merges a map into that of a key, in 0.7. Errors: ErrVersion, ErrNoMap, and
// those of Set.
func (n *SyncNode) ApplyDelta(ctx context.Context, key string, delta map[string]any) error {
	m, err := n.delta(delta)
	if err == nil {
		err = n.engine.do(func(now time.Time) (legacy.Effects, error) { return n.dict.WriteDelta(now, key, m) })
	}
	if err != nil {
		return fmt.Errorf("compat: delta %q: %w", key, err)
	}
	return nil
}

// delta returns a delta as it travels. Errors: ErrVersion, ErrValue.
func (n *MeshNode) delta(delta map[string]any) (wire.Map, error) {
	if n.network.Version != wire.V7 {
		return nil, ErrVersion
	}
	packets, err := legacy.FromGo(n.network.Version, []any{delta})
	if err != nil {
		return nil, err
	}
	return packets[0].(wire.Map), nil
}

// Keys returns the keys of the dictionary, in order.
func (n *SyncNode) Keys() (keys []string) {
	n.engine.read(func() { keys = n.dict.Keys() })
	return keys
}

// An Item is a key of the dictionary.
type Item struct {
	Key   string
	Value any
	Owner string // ID
	Time  time.Time
}

// Items returns all keys of the dictionary, in order.
func (n *SyncNode) Items() (items []Item) {
	n.engine.read(func() {
		for _, key := range n.dict.Keys() {
			e, _ := n.dict.Entry(key)
			items = append(items, Item{Key: key, Value: legacy.ToGo(e.Value), Owner: e.Owner, Time: time.Unix(e.Time, 0).UTC()})
		}
	})
	return items
}

// Changes yields what is written to the dictionary, by this node or others, as Messages does.
func (n *SyncNode) Changes(ctx context.Context) iter.Seq2[Change, error] {
	return follow(ctx, &n.news.changes)
}
