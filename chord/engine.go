package chord

import (
	"errors"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/p2p-today/go2p/chord/internal/home"
	"github.com/p2p-today/go2p/internal/dcbor"
	"github.com/p2p-today/go2p/internal/kvstore"
)

// A storage engine keeps the values of a store, and on disk also the versions. It is here
// and not in internal/home, since what is there touches no disk.
type engine interface {
	get(key string) (string, error)
	// put is in its place when it returns, and on disk when wait does, which may be nil.
	put(key string, w home.Write, value string) (wait func() error, err error)
	remove(keys []string) error
	stamp(now time.Time) error // notes when the engine was in use
	close(now time.Time) error
}

// memory is an engine that ends with the process.
type memory map[string]string

func (m memory) get(key string) (string, error) { return m[key], nil }

func (m memory) put(key string, w home.Write, value string) (func() error, error) {
	m[key] = value
	return nil, nil
}

func (m memory) remove(keys []string) error {
	for _, key := range keys {
		delete(m, key)
	}
	return nil
}

func (m memory) stamp(time.Time) error { return nil }
func (m memory) close(time.Time) error { return nil }

// diskFormat is raised when an older program could not read what is stored.
const diskFormat = 1

// The rows of an engine on disk, by the first byte of their keys.
const (
	rowClock = 't' // when this was open last, in unix milliseconds
	rowItem  = 'i' // key: [version, deleted, at in unix milliseconds, value]
)

// disk is an engine in a directory.
type disk struct{ db *kvstore.Store }

// openDisk opens the engine in a directory, which is made if there is none, and loads into
// an empty store what is on it. What was left for longer than deletions are remembered is
// dropped: it could bring back deleted keys.
func openDisk(dir string, files vfs.FS, log *slog.Logger, into *home.Store, now time.Time) (*disk, error) {
	db, err := kvstore.Open(dir, kvstore.Options{
		FS: files, Log: log, Format: diskFormat,
		Err: ErrStore, Fault: "cannot be used", Advice: "move it away: what other peers store comes back from them",
	})
	if err != nil {
		return nil, err
	}
	d := &disk{db}
	if err = d.load(into, now); err == nil {
		err = d.stamp(now)
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return d, nil
}

func (d *disk) load(into *home.Store, now time.Time) error {
	var last uint64
	found, err := d.db.Get([]byte{rowClock}, func(value []byte) error {
		s := dcbor.Scan(value)
		last = s.Uint()
		return s.End()
	})
	if err != nil || !found {
		return err
	}
	if now.Sub(time.UnixMilli(int64(last))) > home.TombstoneTime {
		b := d.db.NewBatch()
		b.DeleteRows(rowItem)
		return d.db.Commit(b, true)
	}
	return d.db.Rows(rowItem, func(key string, value []byte) error {
		w, _, err := home.ScanRow(value)
		if err == nil {
			into.Put(now, key, w)
		}
		return err
	})
}

func (d *disk) stamp(now time.Time) error {
	b := d.db.NewBatch()
	b.Set([]byte{rowClock}, dcbor.AppendUint(nil, uint64(now.UnixMilli())))
	return d.db.Commit(b, true)
}

func itemKey(key string) []byte { return append([]byte{rowItem}, key...) }

func (d *disk) get(key string) (value string, err error) {
	found, err := d.db.Get(itemKey(key), func(data []byte) error {
		_, v, err := home.ScanRow(data)
		value = string(v)
		return err
	})
	if err == nil && !found {
		err = d.db.Fault(errors.New("a row is missing"))
	}
	return value, err
}

func (d *disk) put(key string, w home.Write, value string) (func() error, error) {
	b := d.db.NewBatch()
	b.Set(itemKey(key), home.AppendRow(nil, w, value))
	return d.db.CommitLater(b)
}

func (d *disk) remove(keys []string) error {
	b := d.db.NewBatch()
	for _, key := range keys {
		b.Delete(itemKey(key))
	}
	return d.db.Commit(b, false)
}

func (d *disk) close(now time.Time) error { return errors.Join(d.stamp(now), d.db.Close()) }
