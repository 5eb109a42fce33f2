package sync

import (
	"cmp"
	"encoding/binary"
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
)

// storeFormat is raised when an older program could not read what is stored.
const storeFormat = 1

// The rows of a store, by the first byte of their keys.
const (
	rowFormat = 'f' // storeFormat
	rowClock  = 'c' // [incarnation, count in ms, highest term]
	rowRecord = 'r' // key: [renewed in ms of the count, batch, place, record]
	rowBatch  = 'b' // number: [writer, nonce, signature, count, [[lo, hi, hash] …], [[place, hash] …]]
	rowSeen   = 's' // writer: [first, last, first, last …]
)

// ErrStore says that a store cannot be used. The text says which, and what to do.
var ErrStore = errors.New("store")

// A store keeps a replica on disk. What is committed together is there together after
// a crash, or not at all; and nothing is there without all that was committed before.
type store struct {
	db    *pebble.DB
	dir   string
	clock clockRow
	last  uint64 // number of the last batch
}

// clockRow is what a store knows of its replica beside the records.
type clockRow struct {
	incarnation uint64
	count       time.Duration
	top         uint64
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

// rows calls f for all rows of a kind, with what comes behind the kind in their keys.
func (s *store) rows(kind byte, f func(key string, sc *dcbor.Scanner) error) error {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{kind}, UpperBound: []byte{kind + 1}})
	if err != nil {
		return damaged(s.dir, err)
	}
	for it.First(); it.Valid(); it.Next() {
		value, err := it.ValueAndErr()
		if err == nil {
			sc := dcbor.Scan(value)
			if err = f(string(it.Key()[1:]), &sc); err == nil {
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

// load fills an empty replica.
func (s *store) load(r *replica) error {
	err := s.rows(rowClock, func(_ string, sc *dcbor.Scanner) error {
		sc.Tuple(3)
		s.clock = clockRow{sc.Uint(), milliseconds(sc.Uint()), sc.Uint()}
		r.top = s.clock.top
		return nil
	})
	if err != nil {
		return err
	}
	err = s.rows(rowSeen, func(writer string, sc *dcbor.Scanner) error {
		r.seen[r.name(writer)] = scanStretches(sc)
		return nil
	})
	if err != nil {
		return err
	}
	batches := map[uint64]*stored{}
	err = s.rows(rowBatch, func(key string, sc *dcbor.Scanner) error {
		if len(key) != 8 {
			return dcbor.ErrForm
		}
		n := binary.BigEndian.Uint64([]byte(key))
		b, err := scanStored(sc)
		if err != nil {
			return err
		}
		b.batch.number, batches[n] = n, b
		s.last = max(s.last, n)
		return nil
	})
	if err != nil {
		return err
	}
	err = s.rows(rowRecord, func(key string, sc *dcbor.Scanner) error {
		sc.Tuple(4)
		renewed, number, place := milliseconds(sc.Uint()), sc.Uint(), sc.Uint()
		b := batches[number]
		if b == nil || place >= uint64(len(b.batch.leaves)) {
			return dcbor.ErrForm
		}
		e := &entry{renewed: renewed, batch: b.batch, leaf: int(place)}
		if e.hash, err = e.scan(sc, b.by); err != nil || e.key != key {
			return cmp.Or(err, dcbor.ErrForm)
		}
		b.batch.leaves[place] = e
		b.batch.alive++
		r.load(e)
		return nil
	})
	for _, b := range batches {
		b.bury()
	}
	return err
}

// A stored batch still has the hashes of all leaves that were there when it was stored.
type stored struct {
	batch  *batch
	by     names
	leaves map[int]digest
}

// bury makes absent what has died since the batch was stored.
func (b *stored) bury() {
	for place, hash := range b.leaves {
		if b.batch.leaves[place] == nil {
			b.batch.miss(place, hash)
		}
	}
}

func (b *batch) appendStored(dst []byte) []byte {
	dst = dcbor.AppendBytes(dcbor.AppendArray(dst, 6), b.writer)
	dst = dcbor.AppendBytes(dcbor.AppendBytes(dst, b.nonce[:]), b.sig)
	dst = dcbor.AppendUint(dst, uint64(len(b.leaves)))
	dst = dcbor.AppendArray(dst, len(b.absent))
	for p, h := range b.absent {
		dst = dcbor.AppendUint(dcbor.AppendUint(dcbor.AppendArray(dst, 3), uint64(p.lo)), uint64(p.hi))
		dst = dcbor.AppendBytes(dst, h[:])
	}
	dst = dcbor.AppendArray(dst, b.alive)
	for i, e := range b.leaves {
		if e != nil {
			h := b.hashLeaf(e)
			dst = dcbor.AppendBytes(dcbor.AppendUint(dcbor.AppendArray(dst, 2), uint64(i)), h[:])
		}
	}
	return dst
}

func scanStored(sc *dcbor.Scanner) (*stored, error) {
	b := &batch{}
	sc.Tuple(6)
	b.writer = string(sc.Bytes())
	nonce, sig, n := sc.Bytes(), sc.Bytes(), sc.Uint()
	if sc.Bad() || len(nonce) != len(b.nonce) || n > maxBatch {
		return nil, dcbor.ErrForm
	}
	copy(b.nonce[:], nonce)
	b.sig = slices.Clone(sig)
	b.leaves = make([]*entry, n)
	for range sc.Array(maxBatch) {
		sc.Tuple(3)
		p := part{int(sc.Uint()), int(sc.Uint())}
		hash := sc.Bytes()
		if sc.Bad() || len(hash) != len(digest{}) || p.lo < 0 || p.lo >= p.hi || uint64(p.hi) > n {
			return nil, dcbor.ErrForm
		}
		b.lack(p, digest(hash))
	}
	st := &stored{b, namesOf(b.writer), map[int]digest{}}
	for range sc.Array(maxBatch) {
		sc.Tuple(2)
		place, hash := sc.Uint(), sc.Bytes()
		if sc.Bad() || len(hash) != len(digest{}) || place >= n {
			return nil, dcbor.ErrForm
		}
		st.leaves[int(place)] = digest(hash)
	}
	return st, nil
}

// write stores what has changed. The order of calls is that of the changes. What is not
// synced is on disk before anything later is that is, and before the store is closed.
func (s *store) write(r *replica, out effects, count time.Duration, synced bool) error {
	tx := s.fill(r, out, count)
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
func (s *store) begin(r *replica, out effects, count time.Duration) (wait func() error, err error) {
	tx := s.fill(r, out, count)
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
func (s *store) fill(r *replica, out effects, count time.Duration) *pebble.Batch {
	tx := s.db.NewBatch()
	touched := map[*batch]bool{}
	var by names // of the last record's writer
	for _, ch := range out.changes {
		if ch.old != nil && ch.old.batch != nil {
			touched[ch.old.batch] = true
		}
		if e := ch.new; e != nil {
			s.writeBatch(tx, e.batch)
			if by.writer != e.dot.writer {
				by = namesOf(e.dot.writer)
			}
			row := dcbor.AppendUint(dcbor.AppendArray(nil, 4), uint64(max(0, e.renewed).Milliseconds()))
			row = dcbor.AppendUint(dcbor.AppendUint(row, e.batch.number), uint64(e.leaf))
			tx.Set(rowKey(rowRecord, ch.key), e.record.append(row, by), nil)
		} else {
			tx.Delete(rowKey(rowRecord, ch.key), nil)
		}
	}
	for b := range touched {
		if b.alive == 0 && b.number != 0 {
			tx.Delete(batchKey(b.number), nil)
		}
	}
	slices.Sort(out.writers)
	for _, writer := range slices.Compact(out.writers) {
		tx.Set(rowKey(rowSeen, writer), appendStretches(nil, r.seen[writer]), nil)
	}
	s.clock.count, s.clock.top = count, r.top
	tx.Set([]byte{rowClock}, s.clock.append(nil), nil)
	return tx
}

// writeBatch stores a batch that is not stored yet.
func (s *store) writeBatch(tx *pebble.Batch, b *batch) {
	if b.number == 0 {
		s.last++
		b.number = s.last
		tx.Set(batchKey(b.number), b.appendStored(nil), nil)
	}
}

func rowKey(kind byte, rest string) []byte { return append([]byte{kind}, rest...) }

func batchKey(n uint64) []byte { return binary.BigEndian.AppendUint64([]byte{rowBatch}, n) }

func (c clockRow) append(dst []byte) []byte {
	return dcbor.AppendUint(dcbor.AppendUint(dcbor.AppendUint(dcbor.AppendArray(dst, 3), c.incarnation), uint64(c.count.Milliseconds())), c.top)
}

func milliseconds(n uint64) time.Duration {
	return time.Duration(min(n, uint64(100*maxAge/time.Millisecond))) * time.Millisecond
}

func (s *store) close() error { return s.db.Close() }
