package sync

// CORE: the rows that a replica is stored as.

import (
	"cmp"
	"encoding/binary"
	"slices"
	"time"

	"github.com/p2p-today/go2p/internal/dcbor"
)

// The kinds of rows, which are the first bytes of their keys.
const (
	rowClock  = 'c' // [incarnation, count in ms, highest term]
	rowSeen   = 's' // writer: [first, last, first, last …]
	rowBatch  = 'b' // number: [writer, nonce, signature, count, [[lo, hi, hash] …], [[place, hash] …]]
	rowRecord = 'r' // key: [renewed in ms of the count, batch, place, record]
)

// rowKinds are the kinds in the order in which they are loaded.
var rowKinds = [...]byte{rowClock, rowSeen, rowBatch, rowRecord}

// rows turn a replica into rows, and back.
type rows struct {
	incarnation uint64        // of the writer; 0 if there is none yet
	count       time.Duration // the replica has run
	replica     *replica
	last        uint64             // number of the last batch
	batches     map[uint64]*stored // by number; nil when all is loaded
}

// newRows returns the rows of a replica, which is empty and gets what is loaded.
func newRows(r *replica) *rows { return &rows{replica: r, batches: map[uint64]*stored{}} }

// load reads a row, whose key is given without its kind.
func (s *rows) load(kind byte, key string, row *dcbor.Scanner) error {
	switch kind {
	case rowClock:
		row.Tuple(3)
		s.incarnation, s.count, s.replica.top = row.Uint(), milliseconds(row.Uint()), row.Uint()
		return nil
	case rowSeen:
		s.replica.seen[s.replica.name(key)] = scanStretches(row)
		return nil
	case rowBatch:
		return s.loadBatch(key, row)
	}
	return s.loadRecord(key, row)
}

func (s *rows) loadBatch(key string, row *dcbor.Scanner) error {
	if len(key) != 8 {
		return dcbor.ErrForm
	}
	n := binary.BigEndian.Uint64([]byte(key))
	b, err := scanStored(row)
	if err != nil {
		return err
	}
	b.batch.number, s.batches[n] = n, b
	s.last = max(s.last, n)
	return nil
}

func (s *rows) loadRecord(key string, row *dcbor.Scanner) (err error) {
	row.Tuple(4)
	renewed, number, place := milliseconds(row.Uint()), row.Uint(), row.Uint()
	b := s.batches[number]
	if b == nil || place >= uint64(len(b.batch.leaves)) {
		return dcbor.ErrForm
	}
	e := &entry{renewed: renewed, batch: b.batch, leaf: int(place)}
	if e.hash, err = e.scan(row, b.by); err != nil || e.key != key {
		return cmp.Or(err, dcbor.ErrForm)
	}
	b.batch.leaves[place] = e
	b.batch.alive++
	s.replica.load(e)
	return nil
}

// loaded says that all rows were loaded.
func (s *rows) loaded() {
	for _, b := range s.batches {
		b.bury()
	}
	s.batches = nil
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

// change returns the rows of what has changed, at a count. The order of calls is that of
// the changes.
func (s *rows) change(out effects, count time.Duration, set func(key, row []byte), remove func(key []byte)) {
	r := s.replica
	touched := map[*batch]bool{}
	var by names // of the last record's writer
	for _, ch := range out.changes {
		if ch.old != nil && ch.old.batch != nil {
			touched[ch.old.batch] = true
		}
		e := ch.new
		if e == nil {
			remove(rowKey(rowRecord, ch.key))
			continue
		}
		if b := e.batch; b.number == 0 {
			s.last++
			b.number = s.last
			set(batchKey(b.number), b.appendStored(nil))
		}
		if by.writer != e.dot.writer {
			by = namesOf(e.dot.writer)
		}
		row := dcbor.AppendUint(dcbor.AppendArray(nil, 4), uint64(max(0, e.renewed).Milliseconds()))
		row = dcbor.AppendUint(dcbor.AppendUint(row, e.batch.number), uint64(e.leaf))
		set(rowKey(rowRecord, ch.key), e.record.append(row, by))
	}
	for b := range touched {
		if b.alive == 0 && b.number != 0 {
			remove(batchKey(b.number))
		}
	}
	slices.Sort(out.writers)
	for _, writer := range slices.Compact(out.writers) {
		set(rowKey(rowSeen, writer), appendStretches(nil, r.seen[writer]))
	}
	s.count = count
	set([]byte{rowClock}, s.appendClock(nil))
}

func rowKey(kind byte, rest string) []byte { return append([]byte{kind}, rest...) }

func batchKey(n uint64) []byte { return binary.BigEndian.AppendUint64([]byte{rowBatch}, n) }

func (s *rows) appendClock(dst []byte) []byte {
	dst = dcbor.AppendUint(dcbor.AppendArray(dst, 3), s.incarnation)
	return dcbor.AppendUint(dcbor.AppendUint(dst, uint64(s.count.Milliseconds())), s.replica.top)
}

func milliseconds(n uint64) time.Duration {
	return time.Duration(min(n, uint64(100*maxAge/time.Millisecond))) * time.Millisecond
}
