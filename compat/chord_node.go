package compat

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/p2p-today/go2p/compat/internal/legacy"
)

// A ChordNode is a node of an old chord network: it asks the nodes that store the table, or is one of them after Join.
// It is made by OpenChord.
type ChordNode struct {
	*MeshNode
	table   *legacy.DHT // the lock of the engine guards it
	lookups *lookups
}

// OpenChord makes a node of a chord network, as OpenMesh does of a mesh network.
func OpenChord(ctx context.Context, opts Options) (*ChordNode, error) {
	n := ChordNode{lookups: &lookups{done: map[*legacy.Lookup]chan struct{}{}}}
	var err error
	n.MeshNode, err = openNode(opts, Chord, "", func(cfg legacy.Config) (core *legacy.Node) {
		core, n.table = legacy.NewDHT(cfg)
		return core
	}, n.lookups.finish)
	if err != nil {
		return nil, err
	}
	return &n, nil
}

// Get returns what three of the five tables hold under a key; it is the caller's. It takes at most 10 s if the context
// has no deadline. Errors: ErrNotFound, ErrNoMajority, ErrNoPeers, ErrClosed, the context's.
func (n *ChordNode) Get(ctx context.Context, key string) (any, error) {
	l, err := n.lookup(ctx, key, false)
	if err != nil {
		return nil, fmt.Errorf("compat: get %q: %w", key, err)
	}
	v, _ := l.Result()
	return legacy.ToGo(v), nil
}

// lookup looks a key up, or all its copies. The lookup is returned also if it has found nothing.
func (n *ChordNode) lookup(ctx context.Context, key string, all bool) (*legacy.Lookup, error) {
	var l *legacy.Lookup
	var done <-chan struct{}
	err := n.engine.do(func(now time.Time) (out legacy.Effects, err error) {
		until := now.Add(legacy.LookupTime)
		if d, ok := ctx.Deadline(); ok {
			until = d.Add(-d.Sub(now) / 10) // so that there is time to say what came of it
		}
		if l, out, err = n.table.Lookup(now, until, key, all); err == nil {
			done = n.lookups.add(l)
		}
		return out, err
	})
	if err != nil {
		return nil, err
	}
	select {
	case <-done:
		_, err = l.Result()
		return l, err
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-n.life.Context().Done():
		return nil, ErrClosed
	}
}

// Set writes a key. In 0.4 and 0.5 values are text or bytes, and empty ones delete; in
// 0.6 empty bytes delete, in 0.7 nil does. Errors: ErrNoPeers, ErrValue, ErrClosed, the context's.
func (n *ChordNode) Set(ctx context.Context, key string, v any) error {
	packets, err := legacy.FromGo(n.network.Version, []any{v})
	if err == nil {
		err = n.awaitRoom(ctx)
	}
	if err == nil {
		err = n.engine.do(func(now time.Time) (legacy.Effects, error) { return n.table.Write(now, key, packets[0]) })
	}
	if err != nil {
		return fmt.Errorf("compat: set %q: %w", key, err)
	}
	return nil
}

// Delete deletes a key. Nodes that have not got it are not told. Errors: those of Get.
func (n *ChordNode) Delete(ctx context.Context, key string) error {
	l, err := n.lookup(ctx, key, true)
	if err == nil {
		err = n.engine.do(func(now time.Time) (legacy.Effects, error) { return n.table.Delete(now, key, l) })
	}
	if err != nil {
		return fmt.Errorf("compat: delete %q: %w", key, err)
	}
	return nil
}

// ApplyDelta merges a map into that of a key, in 0.7. Errors: ErrVersion, ErrNoMap, and
// those of Get and Set.
func (n *ChordNode) ApplyDelta(ctx context.Context, key string, delta map[string]any) error {
	err := n.merge(ctx, key, delta)
	if err != nil {
		return fmt.Errorf("compat: delta %q: %w", key, err)
	}
	return nil
}

func (n *ChordNode) merge(ctx context.Context, key string, delta map[string]any) error {
	m, err := n.delta(delta)
	if err != nil {
		return err
	}
	l, err := n.lookup(ctx, key, true)
	missing := errors.Is(err, ErrNotFound)
	if err != nil && !missing {
		return err
	}
	return n.engine.do(func(now time.Time) (legacy.Effects, error) {
		if missing {
			return n.table.Write(now, key, m)
		}
		return n.table.Merge(now, key, l, m)
	})
}

// Join has the node store a part of the table. Error: ErrClosed.
func (n *ChordNode) Join() error {
	return n.engine.do(func(now time.Time) (legacy.Effects, error) { return n.table.Join(now), nil })
}

// Unjoin has it store no more, and gives what it has to others. Nobody says whether they
// took it. Errors: ErrNoPeers if nobody else stores (it goes on storing then), ErrClosed.
func (n *ChordNode) Unjoin() error { return n.engine.do(n.table.Unjoin) }

// Keys returns the keys of the table as far as others have told of them, in order. In 0.4, nobody does.
func (n *ChordNode) Keys() (keys []string) {
	n.engine.read(func() { keys = n.table.Keys() })
	return keys
}

// lookups holds the lookups that callers wait for, or have waited for. Its lock may be taken while that of the engine
// is held.
type lookups struct {
	mu   sync.Mutex
	done map[*legacy.Lookup]chan struct{}
}

// add returns a channel that is closed when a lookup is over. It must be called before the effects of the lookup's
// start are performed.
func (ls *lookups) add(l *legacy.Lookup) <-chan struct{} {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	done := make(chan struct{})
	ls.done[l] = done
	return done
}

// finish wakes the callers that wait for lookups.
func (ls *lookups) finish(found []*legacy.Lookup) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for _, l := range found {
		close(ls.done[l])
		delete(ls.done, l)
	}
}
