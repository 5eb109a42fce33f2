package chord

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/p2p-today/go2p/internal/dcbor"
	"github.com/p2p-today/go2p/internal/disklog"

	"github.com/p2p-today/go2p/chord/internal/home"
)

// A shelf keeps the values of a store, and on disk also the versions.
type shelf interface {
	get(key string) (string, error)
	// put is in its place when it returns, and on disk when wait does, which may be nil.
	put(key string, w home.Write, value string) (wait func() error, err error)
	remove(keys []string) error
	close(now time.Time) error
}

// memory is a shelf that ends with the process.
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

func (m memory) close(time.Time) error { return nil }

// diskFormat is raised when an older program could not read what is stored.
const diskFormat = 1

// The rows of a shelf on disk, by the first byte of their keys.
const (
	rowFormat = 'f' // diskFormat
	rowClock  = 't' // when this was open last, in unix milliseconds
	rowItem   = 'i' // key: [version, deleted, at in unix milliseconds, value]
)

// ErrStore says that a store cannot be used. The text says which, and what to do.
var ErrStore = errors.New("store")

type disk struct {
	db  *pebble.DB
	dir string
}

// openDisk opens the shelf in a directory, which is made if there is none, and loads into
// an empty store what is on it. What was left for longer than deletions are remembered
// is not: it could bring back what was deleted.
func openDisk(dir string, files vfs.FS, log *slog.Logger, into *home.Store, now time.Time) (*disk, error) {
	db, err := pebble.Open(dir, &pebble.Options{FS: files, Logger: disklog.Logger{Log: log}, FormatMajorVersion: pebble.FormatNewest})
	if err != nil {
		return nil, damaged(dir, err)
	}
	d := &disk{db, dir}
	if err = d.checkFormat(); err == nil {
		err = d.load(into, now)
	}
	if err == nil {
		err = d.stamp(now)
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return d, nil
}

// damaged says what to do about a store that cannot be read.
func damaged(dir string, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w %s: %w", ErrStore, dir, err)
	}
	return fmt.Errorf("%w %s cannot be used: %w; move it away: what other peers store comes back from them", ErrStore, dir, err)
}

func (d *disk) checkFormat() error {
	format, err := d.number(rowFormat)
	switch {
	case errors.Is(err, pebble.ErrNotFound):
		return d.setNumber(rowFormat, diskFormat)
	case err == nil && format > diskFormat:
		return fmt.Errorf("%w %s was written by a newer version: its format is %d, this program knows up to %d", ErrStore, d.dir, format, diskFormat)
	}
	return err
}

func (d *disk) number(row byte) (uint64, error) {
	data, closer, err := d.db.Get([]byte{row})
	if err != nil {
		return 0, err
	}
	defer closer.Close()
	s := dcbor.Scan(data)
	n := s.Uint()
	return n, s.End()
}

func (d *disk) setNumber(row byte, n uint64) error {
	return d.db.Set([]byte{row}, dcbor.AppendUint(nil, n), pebble.Sync)
}

// stamp notes when the store was in use.
func (d *disk) stamp(now time.Time) error { return d.setNumber(rowClock, uint64(now.UnixMilli())) }

func (d *disk) load(into *home.Store, now time.Time) error {
	last, err := d.number(rowClock)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil
	} else if err != nil {
		return damaged(d.dir, err)
	}
	if now.Sub(time.UnixMilli(int64(last))) > home.TombstoneTime {
		return d.db.DeleteRange([]byte{rowItem}, []byte{rowItem + 1}, pebble.Sync)
	}
	it, err := d.db.NewIter(&pebble.IterOptions{LowerBound: []byte{rowItem}, UpperBound: []byte{rowItem + 1}})
	if err != nil {
		return damaged(d.dir, err)
	}
	for it.First(); it.Valid(); it.Next() {
		data, err := it.ValueAndErr()
		if err == nil {
			var w home.Write
			if w, _, err = home.ScanRow(data); err == nil {
				into.Put(now, string(it.Key()[1:]), w)
			}
		}
		if err != nil {
			return damaged(d.dir, errors.Join(fmt.Errorf("row %q: %w", it.Key(), err), it.Close()))
		}
	}
	return it.Close()
}

func itemKey(key string) []byte { return append([]byte{rowItem}, key...) }

func (d *disk) get(key string) (string, error) {
	data, closer, err := d.db.Get(itemKey(key))
	if err != nil {
		return "", damaged(d.dir, err)
	}
	defer closer.Close()
	_, value, err := home.ScanRow(data)
	return string(value), err
}

func (d *disk) put(key string, w home.Write, value string) (func() error, error) {
	tx := d.db.NewBatch()
	tx.Set(itemKey(key), home.AppendRow(nil, w, value), nil)
	if err := d.db.ApplyNoSyncWait(tx, pebble.Sync); err != nil {
		return nil, errors.Join(damaged(d.dir, err), tx.Close())
	}
	return func() error {
		defer tx.Close()
		if err := tx.SyncWait(); err != nil {
			return damaged(d.dir, err)
		}
		return nil
	}, nil
}

func (d *disk) remove(keys []string) error {
	tx := d.db.NewBatch()
	defer tx.Close()
	for _, key := range keys {
		tx.Delete(itemKey(key), nil)
	}
	return d.db.Apply(tx, pebble.NoSync)
}

func (d *disk) close(now time.Time) error { return errors.Join(d.stamp(now), d.db.Close()) }
