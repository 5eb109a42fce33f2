package legacy

import (
	"slices"
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

// WriteDelta has this node merge a map into that of a key. Errors: ErrNoMap, and those of Write.
func (d *SyncMap) WriteDelta(now time.Time, key string, delta wire.Map) (Effects, error) {
	err := d.writeDelta(now, key, delta)
	return d.node.take(), err
}

func (d *SyncMap) writeDelta(now time.Time, key string, delta wire.Map) error {
	if err := d.mine(now, key, true); err != nil {
		return err
	}
	old, held := d.entries[key]
	if _, isMap := old.Value.(wire.Map); held && !isMap {
		return ErrNoMap
	}
	m, err := d.node.broadcast(d.after(now, key), wire.Delta, []byte(key), delta)
	if err != nil {
		return err
	}
	d.merge(now, key, delta, Entry{Owner: d.node.id, OwnerText: true, Time: m.Time})
	return nil
}

// merge takes a delta, if the rule allows it and there is a map or nothing.
func (d *SyncMap) merge(now time.Time, key string, delta wire.Map, e Entry) bool {
	old, held := d.entries[key]
	base, isMap := old.Value.(wire.Map)
	if held && !isMap || !d.accepts(now, key, e, true) {
		return false
	}
	e.Value = mergeMaps(base, delta)
	d.put(key, e)
	return true
}

// mergeMaps is a map with the keys of another.
func mergeMaps(base, delta wire.Map) wire.Map {
	merged := slices.Clone(base)
	for _, p := range delta {
		if i := slices.IndexFunc(merged, func(q wire.Pair) bool { return sameKey(p.Key, q.Key) }); i >= 0 {
			merged[i].Value = p.Value
		} else {
			merged = append(merged, p)
		}
	}
	return merged
}

// sameKey compares keys of maps, of which py2 has bytes where others have text.
func sameKey(a, b any) bool {
	x, isText := wire.Text(a)
	y, alsoText := wire.Text(b)
	if isText || alsoText {
		return isText && alsoText && x == y
	}
	return SameValue(a, b)
}
