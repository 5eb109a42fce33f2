package legacy

import (
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

// Write writes a key, or deletes it if the value says so. Errors: a *LeaseError, ErrTooLarge.
func (d *SyncMap) Write(now time.Time, key string, value any) (Effects, error) {
	err := d.write(now, key, value)
	return d.node.take(), err
}

func (d *SyncMap) write(now time.Time, key string, value any) error {
	if err := d.checkOwner(now, key, false); err != nil {
		return err
	}
	m, err := d.node.broadcast(d.writeTime(now, key), wire.Store, []byte(key), value)
	if err != nil {
		return err
	}
	d.apply(key, Entry{Value: value, Owner: d.node.id, OwnerText: true, Time: m.Time})
	return nil
}

// Delete deletes a key. Errors: ErrNotFound, and those of Write.
func (d *SyncMap) Delete(now time.Time, key string) (Effects, error) {
	if _, held := d.entries[key]; !held {
		return Effects{}, ErrNotFound
	}
	return d.Write(now, key, DeleteValue(d.version))
}

// WriteDelta merges a map into that of a key. Errors: ErrNoMap, and those of Write.
func (d *SyncMap) WriteDelta(now time.Time, key string, delta wire.Map) (Effects, error) {
	err := d.writeDelta(now, key, delta)
	return d.node.take(), err
}

func (d *SyncMap) writeDelta(now time.Time, key string, delta wire.Map) error {
	if err := d.checkOwner(now, key, true); err != nil {
		return err
	}
	old, held := d.entries[key]
	if _, isMap := old.Value.(wire.Map); held && !isMap {
		return ErrNoMap
	}
	m, err := d.node.broadcast(d.writeTime(now, key), wire.Delta, []byte(key), delta)
	if err != nil {
		return err
	}
	d.merge(now, key, delta, Entry{Owner: d.node.id, OwnerText: true, Time: m.Time})
	return nil
}
