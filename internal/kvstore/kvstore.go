// Package kvstore keeps rows on disk, in a pebble database that records the version of its
// format. Its errors tell the user what to do.
//
// A row is a key and a value. The first byte of a key is the kind of the row. The owner of
// the store defines the kinds and what their rows hold.
package kvstore

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/p2p-today/go2p/internal/dcbor"
)

// FormatRow is the kind of the one row that belongs to the store itself: the version of the
// format.
const FormatRow = 'f'

// Options are the settings of a store. All but FS and Log are required.
type Options struct {
	FS     vfs.FS       // nil for the operating system's
	Log    *slog.Logger // nil for none
	Format uint64       // version that this program writes; raised when older programs cannot read what is stored

	// The text of an error is "<Err> <directory> <Fault>: <reason>; <Advice>".
	Err    error  // wrapped by all errors of the store
	Fault  string // such as "cannot be read"
	Advice string // such as "restore it from a backup"
}

// A Store is an open database. Its methods may be called concurrently. After a crash the
// changes of a batch are there as a whole or not at all, and only together with all that
// was committed before.
//
// All errors wrap Options.Err. If written data cannot be made durable the process panics,
// since it could not keep what it acknowledges from then on.
type Store struct {
	db   *pebble.DB
	dir  string
	opts Options
}

// Open opens the store in a directory, and makes the directory if there is none. Errors: the
// store is damaged, has a newer format, or is in use by another process; or the process has
// no permission for the directory.
func Open(dir string, opts Options) (*Store, error) {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	s := &Store{dir: dir, opts: opts}
	var err error
	s.db, err = pebble.Open(dir, &pebble.Options{
		FS: opts.FS, Logger: logger{opts.Log}, FormatMajorVersion: pebble.FormatNewest,
	})
	if err != nil {
		return nil, s.Fault(err)
	}
	if err := s.checkFormat(); err != nil {
		return nil, errors.Join(err, s.db.Close())
	}
	return s, nil
}

// checkFormat refuses a store of a newer format. It writes the format of this program into
// a new store.
func (s *Store) checkFormat() error {
	var format uint64
	found, err := s.Get([]byte{FormatRow}, func(value []byte) error {
		sc := dcbor.Scan(value)
		format = sc.Uint()
		return sc.End()
	})
	switch {
	case err != nil:
		return err
	case !found:
		b := s.NewBatch()
		b.Set([]byte{FormatRow}, dcbor.AppendUint(nil, s.opts.Format))
		return s.Commit(b, true)
	case format > s.opts.Format:
		return fmt.Errorf("%w %s was written by a newer version: its format is %d, this program knows up to %d",
			s.opts.Err, s.dir, format, s.opts.Format)
	}
	return nil
}

// Fault returns the error for a store that fails, or whose rows its owner cannot read. The
// text says where the store is and what the user can do.
func (s *Store) Fault(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w %s: %w", s.opts.Err, s.dir, err)
	}
	return fmt.Errorf("%w %s %s: %w; %s", s.opts.Err, s.dir, s.opts.Fault, err, s.opts.Advice)
}

// Get calls read with the value of a row, which is valid until read returns. It reports
// whether the row exists. An error of read is returned as a fault of the store.
func (s *Store) Get(key []byte, read func(value []byte) error) (found bool, err error) {
	value, closer, err := s.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err == nil {
		err = errors.Join(read(value), closer.Close())
	}
	if err != nil {
		return true, s.Fault(fmt.Errorf("row %q: %w", key, err))
	}
	return true, nil
}

// Rows calls read for all rows of a kind, in the order of their keys. The key is given
// without the kind; the value is valid until read returns. The first error of read ends the
// iteration and is returned as a fault of the store.
func (s *Store) Rows(kind byte, read func(key string, value []byte) error) error {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{kind}, UpperBound: []byte{kind + 1}})
	if err != nil {
		return s.Fault(err)
	}
	for it.First(); it.Valid(); it.Next() {
		value, err := it.ValueAndErr()
		if err == nil {
			err = read(string(it.Key()[1:]), value)
		}
		if err != nil {
			return s.Fault(errors.Join(fmt.Errorf("row %q: %w", it.Key(), err), it.Close()))
		}
	}
	if err := it.Close(); err != nil {
		return s.Fault(err)
	}
	return nil
}

// A Batch is changes that are committed together. It is not safe for concurrent use, and
// must not be used after its commit.
type Batch struct{ b *pebble.Batch }

// NewBatch returns an empty batch, which must be committed.
func (s *Store) NewBatch() Batch { return Batch{s.db.NewBatch()} }

// Set gives a row a value. It copies key and value.
func (b Batch) Set(key, value []byte) { b.b.Set(key, value, nil) }

// Delete removes a row, if it exists.
func (b Batch) Delete(key []byte) { b.b.Delete(key, nil) }

// DeleteRows removes all rows of a kind.
func (b Batch) DeleteRows(kind byte) { b.b.DeleteRange([]byte{kind}, []byte{kind + 1}, nil) }

// Commit applies a batch. If it is to be durable, Commit returns when it and all earlier
// batches are on disk. Otherwise the batch is on disk before the next durable one, and
// before Close returns.
func (s *Store) Commit(b Batch, durable bool) error {
	defer b.b.Close()
	how := pebble.NoSync
	if durable {
		how = pebble.Sync
	}
	if err := s.db.Apply(b.b, how); err != nil {
		return s.Fault(err)
	}
	return nil
}

// CommitLater applies a batch, and returns when readers see it. The batch and all earlier
// ones are on disk when wait returns. The caller calls wait once.
func (s *Store) CommitLater(b Batch) (wait func() error, err error) {
	if err := s.db.ApplyNoSyncWait(b.b, pebble.Sync); err != nil {
		return nil, errors.Join(s.Fault(err), b.b.Close())
	}
	return func() error {
		defer b.b.Close()
		if err := b.b.SyncWait(); err != nil {
			return s.Fault(err)
		}
		return nil
	}, nil
}

// Close closes the store, with all committed batches on disk. No other method may be called
// meanwhile or afterwards.
func (s *Store) Close() error { return s.db.Close() }

// A logger passes the messages of pebble to a slog.Logger.
type logger struct{ log *slog.Logger }

// Infof logs a message for developers.
func (l logger) Infof(format string, args ...any) {
	l.log.Debug("store: " + fmt.Sprintf(format, args...))
}

// Errorf logs a failure.
func (l logger) Errorf(format string, args ...any) {
	l.log.Error("store: " + fmt.Sprintf(format, args...))
}

// Fatalf panics: pebble calls it when written data cannot be made durable.
func (l logger) Fatalf(format string, args ...any) { panic("store: " + fmt.Sprintf(format, args...)) }
