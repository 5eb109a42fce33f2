package legacy

import (
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

const (
	maxEntries   = 1 << 20
	maxDictBytes = 256 << 20
)

// A SyncMap is the dictionary that all nodes of a sync network hold, by the rules of their version. It extends a Node,
// and is serialized with it.
type SyncMap struct {
	plain
	node    *Node
	version wire.Version
	leasing bool
	entries map[string]Entry
	bytes   int
}

// NewSyncMap makes a node of a sync network.
func NewSyncMap(cfg Config) (*Node, *SyncMap) {
	n := NewNode(cfg)
	d := &SyncMap{node: n, version: cfg.Version, leasing: !cfg.NoLeasing, entries: map[string]Entry{}}
	n.extend(d)
	return n, d
}

// An Entry is the value of a key, and the node that owns the key.
type Entry struct {
	Value     any // as it travels
	Owner     string
	OwnerText bool // the owner travels as text, as from js; py tells it from bytes
	Time      int64
}

// is reports whether two entries are equal.
func (e Entry) is(b Entry) bool {
	return e.Owner == b.Owner && e.Time == b.Time && SameValue(e.Value, b.Value)
}

// size returns about what an entry takes in memory.
func (e Entry) size() int { return 64 + len(e.Owner) + weight(e.Value) }

// Deletes reports whether a value, as it travels, says that its key is deleted.
func Deletes(v wire.Version, value any) bool {
	switch v {
	case wire.V7:
		return value == nil
	case wire.V6:
		b, isBytes := value.([]byte)
		return isBytes && len(b) == 0
	}
	b, _ := value.([]byte)
	return len(b) == 0
}

// DeleteValue returns the value that deletes a key.
func DeleteValue(v wire.Version) any {
	if v == wire.V7 {
		return nil
	}
	return []byte{}
}

// apply stores or deletes an entry, and adds the Change to the effects if there is one.
func (d *SyncMap) apply(key string, e Entry) {
	if !d.store(key, e) {
		return
	}
	c := Change{Key: key, Owner: e.Owner, Time: time.Unix(e.Time, 0).UTC(), Deleted: Deletes(d.version, e.Value)}
	if !c.Deleted {
		c.Value = ToGo(e.Value)
	}
	d.node.out.Changes = append(d.node.out.Changes, c)
}

// store stores or deletes an entry. It reports whether that is a change.
func (d *SyncMap) store(key string, e Entry) bool {
	old, held := d.entries[key]
	if Deletes(d.version, e.Value) {
		if held {
			d.bytes -= len(key) + old.size()
			delete(d.entries, key)
		}
		return held
	}
	size := len(key) + e.size()
	if held {
		size -= len(key) + old.size()
	} else if len(d.entries) >= maxEntries {
		d.node.Drop(DropFull)
		return false
	}
	if d.bytes+size > maxDictBytes {
		d.node.Drop(DropFull)
		return false
	}
	d.bytes += size
	d.entries[key] = e
	return true
}

// Entry returns what the node holds under a key. It reports false if it holds nothing.
func (d *SyncMap) Entry(key string) (e Entry, held bool) {
	e, held = d.entries[key]
	return e, held
}

// Keys returns the keys, sorted.
func (d *SyncMap) Keys() []string { return sortedKeys(d.entries) }
