package sync

import (
	"errors"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/p2p-today/go2p/internal/dcbor"
	"github.com/p2p-today/go2p/internal/kvstore"
	"github.com/p2p-today/go2p/sync/internal/replica"
)

// storeFormat is raised when an older program could not read what is stored.
const storeFormat = 1

// A durability says when what is stored is on disk.
type durability int

const (
	buffered durability = iota // before anything later that is durable
	durable                    // when it was waited for
)

// A store keeps a replica on disk. What is written together is there together after a
// crash, or not at all; and nothing is there without all that was written before.
//
// The store has no lock: the commit pipeline calls it in the order of the changes.
type store struct {
	*kvstore.Store
	rows *replica.Rows
}

// openStore opens the store in a directory, which is made if there is none, and loads an
// empty replica from it. From then on the store is the replica's.
func openStore(dir string, files vfs.FS, log *slog.Logger, r *replica.Replica) (*store, error) {
	db, err := kvstore.Open(dir, kvstore.Options{
		FS: files, Log: log, Format: storeFormat,
		Err: ErrStore, Fault: "cannot be read",
		Advice: "restore it from a backup, or move it away: what other members hold comes back from them",
	})
	if err != nil {
		return nil, err
	}
	s := &store{db, replica.NewRows(r)}
	for _, kind := range replica.RowKinds {
		err := db.Rows(kind, func(key string, value []byte) error {
			row := dcbor.Scan(value)
			if err := s.rows.Load(kind, key, &row); err != nil {
				return err
			}
			return row.End()
		})
		if err != nil {
			return nil, errors.Join(err, db.Close())
		}
	}
	s.rows.Loaded()
	return s, nil
}

// write stores what has changed in the replica. The changes are in their place when write
// returns; durable ones, with all before them, are on disk when wait does. Others are on
// disk before any that are durable and come later, and before the store is closed.
func (s *store) write(out replica.Effects, count time.Duration, how durability) (wait func() error, err error) {
	tx := s.NewBatch()
	s.rows.Change(out, count, tx.Set, tx.Delete)
	if how == durable {
		return s.CommitLater(tx)
	}
	return func() error { return nil }, s.Commit(tx, false)
}
