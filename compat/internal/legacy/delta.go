package legacy

import (
	"slices"
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

// merge applies a delta, if the lease rule accepts it and the key holds a map or nothing. It reports whether it did.
func (d *SyncMap) merge(now time.Time, key string, delta wire.Map, e Entry) bool {
	old, held := d.entries[key]
	base, isMap := old.Value.(wire.Map)
	if held && !isMap || !d.accepts(now, key, e, true) {
		return false
	}
	e.Value = mergeMaps(base, delta)
	d.apply(key, e)
	return true
}

// mergeMaps returns base with the keys of delta.
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

// sameKey reports whether two keys of maps are equal. py 2 has bytes where other nodes have text.
func sameKey(a, b any) bool {
	x, isText := wire.Text(a)
	y, alsoText := wire.Text(b)
	if isText || alsoText {
		return isText && alsoText && x == y
	}
	return SameValue(a, b)
}
