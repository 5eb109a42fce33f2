// Package kvstore keeps rows on disk: a pebble database in a directory, with the version of
// its format, whose errors say what a user can do.
//
// A row is a key and a value. The first byte of a key is the kind of the row; what kinds
// there are, and what their rows hold, is up to the owner of the store.
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

// FormatRow is the kind of the one row that is the store's own: the version of the format.
const FormatRow = 'f'

// Options say how a store is opened. All but FS and Log are needed.
type Options struct {
	FS     vfs.FS       // nil for that of the system
	Log    *slog.Logger // nil for none
	Format uint64       // of this program; it is raised when an older program could not read what is stored

	// What errors say: "<Err> <directory> <Fault>: <reason>; <Advice>".
	Err    error  // which all errors of the store wrap
	Fault  string // such as "cannot be read"
	Advice string // such as "restore it from a backup"
}

// A Store is a database that is open. Its methods may be called concurrently. What one
// batch holds is there as a whole after a crash, or not at all; and nothing is there
// without all that was committed before it.
//
// All errors wrap Options.Err. If what was written cannot be made durable the process
// panics: nothing that it acknowledged from then on would be true.
type Store struct {
	db   *pebble.DB
	dir  string
	opts Options
}

// Open opens the store in a directory, which is made if there is none. Errors: the store is
// damaged, of a newer format, or in use by another process; or the directory may not be
// used.
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

// checkFormat refuses a store of a newer format, and gives a new store the format of this
// program.
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

// Fault returns the error for a store that fails, or whose rows are not what its owner has
// written: it says where the store is, and what a user can do about it.
func (s *Store) Fault(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w %s: %w", s.opts.Err, s.dir, err)
	}
	return fmt.Errorf("%w %s %s: %w; %s", s.opts.Err, s.dir, s.opts.Fault, err, s.opts.Advice)
}

// Get calls read with the value of a row, which is valid until read returns. It reports
// whether there is such a row. An error of read is one of the store.
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

// Rows calls read with all rows of a kind, in the order of their keys: with what comes
// behind the kind in the key, and with the value, which is valid until read returns. The
// first error of read ends it, and is one of the store.
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
// ends with its commit.
type Batch struct{ b *pebble.Batch }

// NewBatch returns an empty batch, which must be committed.
func (s *Store) NewBatch() Batch { return Batch{s.db.NewBatch()} }

// Set gives a row a value. Key and value may be changed afterwards.
func (b Batch) Set(key, value []byte) { b.b.Set(key, value, nil) }

// Delete removes a row, if it is there.
func (b Batch) Delete(key []byte) { b.b.Delete(key, nil) }

// DeleteRows removes all rows of a kind.
func (b Batch) DeleteRows(kind byte) { b.b.DeleteRange([]byte{kind}, []byte{kind + 1}, nil) }

// Commit makes the changes of a batch. If they are to be durable it returns when they, and
// all before them, are on disk. If not, they are on disk before anything later that is
// durable, and before the store is closed.
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

// CommitLater makes the changes of a batch. It returns when others see them. They, and all
// before them, are on disk when wait returns, which must be called once.
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

// Close closes the store. All that was committed is on disk then. Nothing may be done with
// the store meanwhile or afterwards.
func (s *Store) Close() error { return s.db.Close() }

// logger is a pebble.Logger.
type logger struct{ log *slog.Logger }

// Infof is for what only developers want to know.
func (l logger) Infof(format string, args ...any) {
	l.log.Debug("store: " + fmt.Sprintf(format, args...))
}

// Errorf is for what went wrong.
func (l logger) Errorf(format string, args ...any) {
	l.log.Error("store: " + fmt.Sprintf(format, args...))
}

// Fatalf is called when what was written cannot be made durable. There is no way on.
func (l logger) Fatalf(format string, args ...any) { panic("store: " + fmt.Sprintf(format, args...)) }
