package replica

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

// RowKinds are the kinds in the order in which they must be loaded.
var RowKinds = [...]byte{rowClock, rowSeen, rowBatch, rowRecord}

// Rows encode a replica as rows of a store, and decode it.
type Rows struct {
	Count   time.Duration // for which the replica had run when the last rows were made
	replica *Replica
	last    uint64             // number of the last batch
	batches map[uint64]*stored // by number; nil when all is loaded
}

// NewRows returns the rows of an empty replica, which Load fills.
func NewRows(r *Replica) *Rows { return &Rows{replica: r, batches: map[uint64]*stored{}} }

// Load decodes a row, whose key is given without the kind. Errors: the row is not as Change
// encodes it.
func (s *Rows) Load(kind byte, key string, row *dcbor.Scanner) error {
	switch kind {
	case rowClock:
		row.Tuple(3)
		incarnation := row.Uint()
		s.Count, s.replica.top = milliseconds(row.Uint()), row.Uint()
		if incarnation != 0 {
			s.replica.Writer = WriterName(s.replica.Self, incarnation)
		}
		return nil
	case rowSeen:
		s.replica.seen[s.replica.name(key)] = scanIntervals(row)
		return nil
	case rowBatch:
		return s.loadBatch(key, row)
	}
	return s.loadRecord(key, row)
}

func (s *Rows) loadBatch(key string, row *dcbor.Scanner) error {
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

func (s *Rows) loadRecord(key string, row *dcbor.Scanner) (err error) {
	row.Tuple(4)
	renewed, number, place := milliseconds(row.Uint()), row.Uint(), row.Uint()
	b := s.batches[number]
	if b == nil || place >= uint64(len(b.batch.leaves)) {
		return dcbor.ErrForm
	}
	e := &Entry{renewed: renewed, batch: b.batch, leaf: int(place)}
	if e.hash, err = e.scan(row, b.by); err != nil || e.Key != key {
		return cmp.Or(err, dcbor.ErrForm)
	}
	b.batch.leaves[place] = e
	b.batch.alive++
	s.replica.load(e)
	return nil
}

// Loaded says that all rows were loaded.
func (s *Rows) Loaded() {
	for _, b := range s.batches {
		b.prune()
	}
	s.batches = nil
}

// A stored batch has the hashes of all leaves that were there when it was stored.
type stored struct {
	batch  *Batch
	by     names
	leaves map[int]Digest
}

// prune makes the leaves absent that have died since the batch was stored.
func (b *stored) prune() {
	for place, hash := range b.leaves {
		if b.batch.leaves[place] == nil {
			b.batch.miss(place, hash)
		}
	}
}

func (b *Batch) appendStored(dst []byte) []byte {
	dst = dcbor.AppendBytes(dcbor.AppendArray(dst, 6), b.Writer)
	dst = dcbor.AppendBytes(dcbor.AppendBytes(dst, b.nonce[:]), b.Sig)
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
	b := &Batch{}
	sc.Tuple(6)
	b.Writer = string(sc.Bytes())
	nonce, sig, n := sc.Bytes(), sc.Bytes(), sc.Uint()
	if sc.Bad() || len(nonce) != len(b.nonce) || n > maxBatch {
		return nil, dcbor.ErrForm
	}
	copy(b.nonce[:], nonce)
	b.Sig = slices.Clone(sig)
	b.leaves = make([]*Entry, n)
	for range sc.Array(maxBatch) {
		sc.Tuple(3)
		p := part{int(sc.Uint()), int(sc.Uint())}
		hash := sc.Bytes()
		if sc.Bad() || len(hash) != len(Digest{}) || p.lo < 0 || p.lo >= p.hi || uint64(p.hi) > n {
			return nil, dcbor.ErrForm
		}
		b.lack(p, Digest(hash))
	}
	st := &stored{b, namesOf(b.Writer), map[int]Digest{}}
	for range sc.Array(maxBatch) {
		sc.Tuple(2)
		place, hash := sc.Uint(), sc.Bytes()
		if sc.Bad() || len(hash) != len(Digest{}) || place >= n {
			return nil, dcbor.ErrForm
		}
		st.leaves[int(place)] = Digest(hash)
	}
	return st, nil
}

// Change calls set and remove for the rows that effects change, at a count of the replica. It
// must be called for all effects, in their order.
func (s *Rows) Change(out Effects, count time.Duration, set func(key, row []byte), remove func(key []byte)) {
	r := s.replica
	touched := map[*Batch]bool{}
	var by names // of the last record's writer
	for _, ch := range out.Changes {
		if ch.Old != nil && ch.Old.batch != nil {
			touched[ch.Old.batch] = true
		}
		e := ch.New
		if e == nil {
			remove(rowKey(rowRecord, ch.Key))
			continue
		}
		if b := e.batch; b.number == 0 {
			s.last++
			b.number = s.last
			set(batchKey(b.number), b.appendStored(nil))
		}
		if by.writer != e.Dot.Writer {
			by = namesOf(e.Dot.Writer)
		}
		row := dcbor.AppendUint(dcbor.AppendArray(nil, 4), uint64(max(0, e.renewed).Milliseconds()))
		row = dcbor.AppendUint(dcbor.AppendUint(row, e.batch.number), uint64(e.leaf))
		set(rowKey(rowRecord, ch.Key), e.Record.append(row, by))
	}
	for b := range touched {
		if b.alive == 0 && b.number != 0 {
			remove(batchKey(b.number))
		}
	}
	slices.Sort(out.Writers)
	for _, writer := range slices.Compact(out.Writers) {
		set(rowKey(rowSeen, writer), appendIntervals(nil, r.seen[writer]))
	}
	s.Count = count
	set([]byte{rowClock}, s.appendClock(nil))
}

func rowKey(kind byte, rest string) []byte { return append([]byte{kind}, rest...) }

func batchKey(n uint64) []byte { return binary.BigEndian.AppendUint64([]byte{rowBatch}, n) }

func (s *Rows) appendClock(dst []byte) []byte {
	dst = dcbor.AppendUint(dcbor.AppendArray(dst, 3), incarnationOf(s.replica.Writer))
	return dcbor.AppendUint(dcbor.AppendUint(dst, uint64(s.Count.Milliseconds())), s.replica.top)
}

func milliseconds(n uint64) time.Duration {
	return time.Duration(min(n, uint64(100*MaxAge/time.Millisecond))) * time.Millisecond
}
