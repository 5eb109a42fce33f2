package compat

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

// Get returns the value of a key, which is the caller's: of the dictionary that a sync
// node holds, or, on a chord node, what three of the five tables say. There it takes at
// most 10 s if the context has no deadline. Errors: ErrNotFound, ErrNoPeers, ErrKind,
// ErrClosed, the context's.
func (n *Node) Get(ctx context.Context, key string) (any, error) {
	v, err := n.get(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("compat: get %q: %w", key, err)
	}
	return goValue(v), nil
}

func (n *Node) get(ctx context.Context, key string) (v any, err error) {
	var l *lookup
	err = n.do(func(now time.Time) (err error) {
		switch x := n.c.ext.(type) {
		case *dictionary:
			e, held := x.entries[key]
			if v = e.value; !held {
				return ErrNotFound
			}
			return nil
		case *spread:
			l, err = x.look(now, until(ctx, now), key, false)
			return err
		}
		return ErrKind
	})
	if l == nil || err != nil {
		return v, err
	}
	return n.await(ctx, l)
}

// until is when a lookup ends.
func until(ctx context.Context, now time.Time) time.Time {
	if d, ok := ctx.Deadline(); ok {
		return d.Add(-d.Sub(now) / 10) // so that there is time to say what came of it
	}
	return now.Add(lookupTime)
}

// await waits for a lookup.
func (n *Node) await(ctx context.Context, l *lookup) (any, error) {
	select {
	case <-l.done:
		return l.value, l.err
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-n.ctx.Done():
		return nil, ErrClosed
	}
}

// Set writes a key. In 0.4 and 0.5 values are text or bytes, and empty ones delete; in
// 0.6 empty bytes delete, in 0.7 nil does. Errors: a *LeaseError on a sync node if the key
// is another's, ErrValue, ErrNoPeers on a chord node, ErrKind, ErrClosed.
func (n *Node) Set(ctx context.Context, key string, v any) error {
	packets, err := fromGo(n.c.version, []any{v})
	if err == nil {
		err = n.write(ctx, key, packets[0])
	}
	if err != nil {
		return fmt.Errorf("compat: set %q: %w", key, err)
	}
	return nil
}

// Delete deletes a key. Nodes that have not got it are not told. Errors: ErrNotFound, and
// those of Set.
func (n *Node) Delete(ctx context.Context, key string) error {
	err := n.remove(ctx, key)
	if err != nil {
		return fmt.Errorf("compat: delete %q: %w", key, err)
	}
	return nil
}

func (n *Node) write(ctx context.Context, key string, value any) error {
	if err := n.room(ctx); err != nil {
		return err
	}
	return n.do(func(now time.Time) error {
		switch x := n.c.ext.(type) {
		case *dictionary:
			return x.write(now, key, value)
		case *spread:
			_, isList := value.([]any)
			if _, isMap := value.(wire.Map); n.c.version == wire.V6 && (isMap || isList) {
				return fmt.Errorf("%w: py of 0.6 cannot look up lists and maps", ErrValue)
			}
			return x.write(now, key, value)
		}
		return ErrKind
	})
}

func (n *Node) remove(ctx context.Context, key string) error {
	l, err := n.copies(ctx, key)
	if err != nil {
		return err
	}
	return n.do(func(now time.Time) error {
		switch x := n.c.ext.(type) {
		case *dictionary:
			if _, held := x.entries[key]; !held {
				return ErrNotFound
			}
			return x.write(now, key, x.gone())
		case *spread:
			return x.remove(now, key, l)
		}
		return nil
	})
}

// copies looks for all copies of a key in a table; on a sync node there are none to look
// for.
func (n *Node) copies(ctx context.Context, key string) (l *lookup, err error) {
	err = n.do(func(now time.Time) (err error) {
		switch x := n.c.ext.(type) {
		case nil:
			return ErrKind
		case *spread:
			l, err = x.look(now, until(ctx, now), key, true)
		}
		return err
	})
	if l == nil || err != nil {
		return nil, err
	}
	_, err = n.await(ctx, l)
	return l, err
}

// ApplyDelta merges a map into that of a key, in 0.7. Errors: ErrVersion, ErrNoMap, and
// those of Set.
func (n *Node) ApplyDelta(ctx context.Context, key string, delta map[string]any) error {
	packets, err := fromGo(n.c.version, []any{delta})
	if n.c.version != wire.V7 {
		err = ErrVersion
	}
	if err == nil {
		err = n.merge(ctx, key, packets[0].(wire.Map))
	}
	if err != nil {
		return fmt.Errorf("compat: delta %q: %w", key, err)
	}
	return nil
}

func (n *Node) merge(ctx context.Context, key string, delta wire.Map) error {
	l, err := n.copies(ctx, key)
	missing := errors.Is(err, ErrNotFound)
	if err != nil && !missing {
		return err
	}
	return n.do(func(now time.Time) error {
		switch x := n.c.ext.(type) {
		case *dictionary:
			return x.writeDelta(now, key, delta)
		case *spread:
			if missing {
				return x.write(now, key, delta)
			}
			if _, isMap := l.value.(wire.Map); !isMap {
				return ErrNoMap
			}
			x.merge(now, l, delta)
			return x.added(now, key)
		}
		return nil
	})
}

// Join has a chord node store a part of the table. Errors: ErrKind, ErrClosed.
func (n *Node) Join() error {
	return n.do(func(now time.Time) error {
		t, ok := n.c.ext.(*spread)
		if !ok {
			return fmt.Errorf("compat: join: %w", ErrKind)
		}
		t.join(now)
		return nil
	})
}

// Unjoin has it store no more, and gives what it has to others. Nobody says whether they
// took it. Errors: ErrNoPeers if nobody else stores (it goes on storing then), ErrKind,
// ErrClosed.
func (n *Node) Unjoin() error {
	return n.do(func(now time.Time) error {
		t, ok := n.c.ext.(*spread)
		if !ok {
			return fmt.Errorf("compat: unjoin: %w", ErrKind)
		}
		return t.unjoin(now)
	})
}

// Keys are the keys of the dictionary, or of the table as far as others have told of
// them, in order. In 0.4, nobody does.
func (n *Node) Keys() (keys []string) {
	n.do(func(time.Time) error {
		switch x := n.c.ext.(type) {
		case *dictionary:
			keys = sortedKeys(x.entries)
		case *spread:
			keys = sortedKeys(x.keys)
		}
		return nil
	})
	return keys
}

// An Item is a key of the dictionary.
type Item struct {
	Key   string
	Value any
	Owner string // ID
	Time  time.Time
}

// Items are all keys of the dictionary of a sync node, in order.
func (n *Node) Items() []Item {
	var items []Item
	n.do(func(time.Time) error {
		if d, ok := n.c.ext.(*dictionary); ok {
			for _, key := range sortedKeys(d.entries) {
				e := d.entries[key]
				items = append(items, Item{key, goValue(e.value), e.owner, time.Unix(e.time, 0).UTC()})
			}
		}
		return nil
	})
	return items
}

// Changes yields what is written to the dictionary of a sync node, by this node or
// others, as Messages does.
func (n *Node) Changes(ctx context.Context) iter.Seq2[Change, error] { return follow(&n.changes, ctx) }
