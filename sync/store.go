package sync

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/p2p-today/go2p/internal/dcbor"
	"github.com/p2p-today/go2p/internal/disklog"
	"github.com/p2p-today/go2p/sync/internal/replica"
)

// storeFormat is raised when an older program could not read what is stored.
const storeFormat = 1

// rowFormat is the key of the row that has storeFormat; the other rows are the replica's.
const rowFormat = 'f'

// ErrStore says that a store cannot be used. The text says which, and what to do.
var ErrStore = errors.New("store")

// A store keeps a replica on disk. What is committed together is there together after
// a crash, or not at all; and nothing is there without all that was committed before.
type store struct {
	db   *pebble.DB
	dir  string
	rows *replica.Rows
}

// openStore opens the store in a directory, which is made if there is none.
func openStore(dir string, files vfs.FS, log *slog.Logger) (*store, error) {
	db, err := pebble.Open(dir, &pebble.Options{
		FS: files, Logger: disklog.Logger{Log: log}, FormatMajorVersion: pebble.FormatNewest,
	})
	if err != nil {
		return nil, damaged(dir, err)
	}
	s := &store{db: db, dir: dir}
	if err := s.checkFormat(); err != nil {
		db.Close()
		return nil, err
	}
	return s, nil
}

// damaged says what to do about a store that cannot be read.
func damaged(dir string, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w %s: %w", ErrStore, dir, err)
	}
	return fmt.Errorf("%w %s cannot be read: %w; restore it from a backup, or move it away: what other members hold comes back from them", ErrStore, dir, err)
}

func (s *store) checkFormat() error {
	data, err := s.get([]byte{rowFormat})
	switch {
	case errors.Is(err, pebble.ErrNotFound):
		return s.db.Set([]byte{rowFormat}, dcbor.AppendUint(nil, storeFormat), pebble.Sync)
	case err != nil:
		return damaged(s.dir, err)
	}
	sc := dcbor.Scan(data)
	format := sc.Uint()
	if err := sc.End(); err != nil {
		return damaged(s.dir, err)
	}
	if format > storeFormat {
		return fmt.Errorf("%w %s was written by a newer version: its format is %d, this program knows up to %d", ErrStore, s.dir, format, storeFormat)
	}
	return nil
}

func (s *store) get(key []byte) ([]byte, error) {
	data, closer, err := s.db.Get(key)
	if err != nil {
		return nil, err
	}
	defer closer.Close()
	return slices.Clone(data), nil
}

// load fills an empty replica, which is from then on the one that is stored.
func (s *store) load(r *replica.Replica) error {
	s.rows = replica.NewRows(r)
	for _, kind := range replica.RowKinds {
		if err := s.loadKind(kind); err != nil {
			return err
		}
	}
	s.rows.Loaded()
	return nil
}

func (s *store) loadKind(kind byte) error {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{kind}, UpperBound: []byte{kind + 1}})
	if err != nil {
		return damaged(s.dir, err)
	}
	for it.First(); it.Valid(); it.Next() {
		value, err := it.ValueAndErr()
		if err == nil {
			sc := dcbor.Scan(value)
			if err = s.rows.Load(kind, string(it.Key()[1:]), &sc); err == nil {
				err = sc.End()
			}
		}
		if err != nil {
			err = fmt.Errorf("row %q: %w", it.Key(), err)
			return damaged(s.dir, errors.Join(err, it.Close()))
		}
	}
	if err := it.Close(); err != nil {
		return damaged(s.dir, err)
	}
	return nil
}

// write stores what has changed. The order of calls is that of the changes. What is not
// synced is on disk before anything later is that is, and before the store is closed.
func (s *store) write(out replica.Effects, count time.Duration, synced bool) error {
	tx := s.fill(out, count)
	defer tx.Close()
	how := pebble.NoSync
	if synced {
		how = pebble.Sync
	}
	if err := s.db.Apply(tx, how); err != nil {
		return damaged(s.dir, err)
	}
	return nil
}

// begin is a synced write that is in its place when begin returns, and on disk, with
// all before it, when wait does.
func (s *store) begin(out replica.Effects, count time.Duration) (wait func() error, err error) {
	tx := s.fill(out, count)
	if err := s.db.ApplyNoSyncWait(tx, pebble.Sync); err != nil {
		return nil, errors.Join(damaged(s.dir, err), tx.Close())
	}
	return func() error {
		defer tx.Close()
		if err := tx.SyncWait(); err != nil {
			return damaged(s.dir, err)
		}
		return nil
	}, nil
}

// fill makes a transaction of what has changed.
func (s *store) fill(out replica.Effects, count time.Duration) *pebble.Batch {
	tx := s.db.NewBatch()
	s.rows.Change(out, count, func(key, row []byte) { tx.Set(key, row, nil) }, func(key []byte) { tx.Delete(key, nil) })
	return tx
}

func (s *store) close() error { return s.db.Close() }
