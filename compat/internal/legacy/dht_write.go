package legacy

import (
	"fmt"
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

// Write stores the five copies of a key. Errors: ErrValue, ErrNoPeers, ErrTooLarge.
func (t *DHT) Write(now time.Time, key string, v any) (Effects, error) {
	err := t.write(now, key, v)
	return t.node.take(), err
}

func (t *DHT) write(now time.Time, key string, v any) error {
	if t.version == wire.V6 && !Absent(wire.V6, v) && !Storable(wire.V6, v) {
		return fmt.Errorf("%w: py of 0.6 cannot look up lists and maps", ErrValue)
	}
	places := t.ring.places(key)
	for _, pl := range places {
		if _, known := t.at(pl); !known {
			return ErrNoPeers
		}
	}
	for _, pl := range places {
		t.put(now, nil, pl, v)
	}
	return t.added(now, key)
}

// added announces that a key is in the table.
func (t *DHT) added(now time.Time, key string) error {
	if t.narrow() {
		return nil
	}
	t.noteKey(key, false)
	_, err := t.node.broadcast(now, wire.Notify, []byte(key))
	return err
}

// Delete deletes the copies of a key that a lookup of all copies has found. py closes the connection if it holds none.
// Error: ErrTooLarge.
func (t *DHT) Delete(now time.Time, key string, l *Lookup) (Effects, error) {
	for i, pl := range l.places {
		if l.values[i] != nil {
			t.put(now, nil, pl, DeleteValue(t.version))
		}
	}
	if t.narrow() {
		return t.node.take(), nil
	}
	t.noteKey(key, true)
	_, err := t.node.broadcast(now, wire.Notify, []byte(key), t.node.text("del"))
	return t.node.take(), err
}

// Merge merges a map into the copies of a key that are maps, which a lookup of all copies has found. Errors: ErrNoMap,
// ErrTooLarge.
func (t *DHT) Merge(now time.Time, key string, l *Lookup, delta wire.Map) (Effects, error) {
	if _, isMap := l.value.(wire.Map); !isMap {
		return Effects{}, ErrNoMap
	}
	for i, pl := range l.places {
		if _, isMap := l.values[i].(wire.Map); isMap {
			t.delta(now, nil, pl, delta)
		}
	}
	err := t.added(now, key)
	return t.node.take(), err
}
