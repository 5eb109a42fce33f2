package replica

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/p2p-today/go2p/internal/dcbor"
	"github.com/p2p-today/go2p/internal/value"
)

const (
	maxBatch     = 256 // records under one signature
	maxSignature = 128 // bytes

	batchBytes = 256 << 10 // under one signature, if it is more than one record
)

var (
	errForged = errors.New("records that are not signed by their writer for this network")
	errValue  = errors.New("a value outside of the data model")
)

// A Batch is records of one writer under one signature, which covers the root of a Merkle
// tree. The leaves are the hashes of the records with a nonce.
//
// A replica holds the records that live, and one hash for each greatest part of the tree
// without any. So it can prove each living record to others for a few bytes.
type Batch struct {
	Writer string
	nonce  Digest
	Sig    []byte
	leaves []*Entry        // nil for what is not here
	absent map[part]Digest // greatest parts of which nothing is here
	alive  int
	number uint64 // in the store; 0 if it is not there
}

// A part of a batch is the leaves from lo on and below hi.
type part struct{ lo, hi int }

// halves splits a part of more than one leaf. The first half has the greatest power of two
// that leaves something to the second.
func (p part) halves() (part, part) {
	n := 1
	for 2*n < p.hi-p.lo {
		n *= 2
	}
	return part{p.lo, p.lo + n}, part{p.lo + n, p.hi}
}

// NewBatch returns a batch with all of its records. The caller signs ToSign and sets Sig.
func NewBatch(writer string, nonce Digest, entries []*Entry) *Batch {
	b := &Batch{Writer: writer, nonce: nonce, leaves: entries, alive: len(entries)}
	for i, e := range entries {
		e.batch, e.leaf = b, i
	}
	return b
}

func (b *Batch) hashLeaf(e *Entry) Digest {
	var buf [1 + 2*len(Digest{})]byte
	copy(buf[1:], b.nonce[:])
	copy(buf[17:], e.hash[:])
	sum := sha256.Sum256(buf[:])
	return Digest(sum[:])
}

func hashNode(nonce, left, right Digest) Digest {
	var buf [1 + 3*len(Digest{})]byte
	buf[0] = 1
	copy(buf[1:], nonce[:])
	copy(buf[17:], left[:])
	copy(buf[33:], right[:])
	sum := sha256.Sum256(buf[:])
	return Digest(sum[:])
}

// NewEntry returns an entry of a record, which is in no batch.
func NewEntry(r Record) *Entry { return &Entry{Record: r, hash: r.hash()} }

// hash returns the hash of a part.
func (b *Batch) hash(p part) Digest {
	if h, ok := b.absent[p]; ok {
		return h
	}
	if p.hi-p.lo == 1 {
		return b.hashLeaf(b.leaves[p.lo])
	}
	left, right := p.halves()
	return hashNode(b.nonce, b.hash(left), b.hash(right))
}

// ToSign returns what the signature covers.
func (b *Batch) ToSign() []byte {
	root := b.hash(part{0, len(b.leaves)})
	buf := append([]byte(b.Writer), b.nonce[:]...)
	buf = binary.BigEndian.AppendUint16(buf, uint16(len(b.leaves)))
	return append(buf, root[:]...)
}

// Seal puts records that Write returned under as few signatures as possible. It returns the
// messages for other members. The nonces are read from entropy.
func (r *Replica) Seal(
	now Instant, written []*Entry, entropy io.Reader, sign func(body []byte) (sig []byte, err error),
) (messages [][]byte, err error) {
	for len(written) > 0 {
		n, bytes := 0, 0
		for n < len(written) && n < maxBatch && (n == 0 || bytes+written[n].Size() <= batchBytes) {
			bytes += written[n].Size()
			n++
		}
		var nonce Digest
		if _, err := io.ReadFull(entropy, nonce[:]); err != nil {
			return nil, err
		}
		b := NewBatch(r.Writer, nonce, slices.Clone(written[:n]))
		if b.Sig, err = sign(b.ToSign()); err != nil {
			return nil, err
		}
		places := make([]int, n)
		for i := range places {
			places[i] = i
		}
		messages = append(messages, b.Append(make([]byte, 0, b.size(places)), places, now.Count))
		for _, e := range written[:n] {
			if r.tree.get(e.Key) != e { // a delete, or replaced already
				b.drop(e)
			}
		}
		written = written[n:]
	}
	return messages, nil
}

// ParseBatch decodes a message of Seal, at a count of this replica. It does not check the
// signature; Verify does.
func ParseBatch(data []byte, count time.Duration) (*Batch, error) {
	s := dcbor.Scan(data)
	b, err := scanBatch(&s, count)
	if err == nil {
		err = s.End()
	}
	if err == nil && b.alive != len(b.leaves) {
		err = fmt.Errorf("%w: a part of a batch", errForged)
	}
	return b, err
}

// Verify checks that the writer has signed a batch, and that a peer may write its records.
func (b *Batch) Verify(signed func(by string, body, sig []byte) bool) error {
	owner, _, _ := strings.Cut(b.Writer, "/")
	if !signed(owner, b.ToSign(), b.Sig) {
		return errForged
	}
	for _, e := range b.leaves {
		if e == nil {
			continue
		}
		if e.Owner != owner && !isLegacy(e.Owner) {
			return fmt.Errorf("%w: of another owner", errForged)
		}
		if !e.Deleted && !value.Valid([]byte(e.Value)) {
			return errValue
		}
	}
	return nil
}

// Records returns the records by their places, and nil for those that are not here.
func (b *Batch) Records() []*Entry { return b.leaves }

// drop removes a record that is dead.
func (b *Batch) drop(e *Entry) {
	b.alive--
	hash := b.hashLeaf(e)
	b.leaves[e.leaf] = nil
	b.miss(e.leaf, hash)
}

// miss notes the hash of a record that is not here.
func (b *Batch) miss(leaf int, hash Digest) {
	b.lack(part{leaf, leaf + 1}, hash)
	b.merge(part{0, len(b.leaves)}, leaf)
}

// lack notes the hash of a part of which nothing is here.
func (b *Batch) lack(p part, hash Digest) {
	if b.absent == nil {
		b.absent = map[part]Digest{}
	}
	b.absent[p] = hash
}

// merge joins the absent parts on the way to a leaf. It reports whether all of p is absent.
func (b *Batch) merge(p part, leaf int) bool {
	if _, ok := b.absent[p]; ok {
		return true
	}
	if p.hi-p.lo == 1 {
		return false
	}
	left, right := p.halves()
	if leaf < left.hi {
		b.merge(left, leaf)
	} else {
		b.merge(right, leaf)
	}
	l, okL := b.absent[left]
	r, okR := b.absent[right]
	if okL && okR {
		delete(b.absent, left)
		delete(b.absent, right)
		b.absent[p] = hashNode(b.nonce, l, r)
	}
	return okL && okR
}

// size returns roughly how many bytes Append appends, rather too many.
func (b *Batch) size(places []int) int {
	n := 256 + 17*16
	for _, i := range places {
		n += b.leaves[i].Size()
	}
	return n
}

// Append appends the encoding of some of the records that are here, by their places in
// order, with their proof and the ages of their leases:
//
//	[writer, nonce, signature, count, [[place, age in ms, record] …], [hash …]]
//
// The hashes are those of the greatest parts without any of the records, from left to
// right.
func (b *Batch) Append(dst []byte, places []int, count time.Duration) []byte {
	dst = dcbor.AppendBytes(dcbor.AppendArray(dst, 6), b.Writer)
	dst = dcbor.AppendBytes(dcbor.AppendBytes(dst, b.nonce[:]), b.Sig)
	dst = dcbor.AppendUint(dst, uint64(len(b.leaves)))
	dst = dcbor.AppendArray(dst, len(places))
	by := namesOf(b.Writer)
	for _, i := range places {
		e := b.leaves[i]
		dst = dcbor.AppendUint(dcbor.AppendArray(dst, 3), uint64(i))
		dst = dcbor.AppendUint(dst, uint64(max(0, count-e.renewed).Milliseconds()))
		dst = e.Record.append(dst, by)
	}
	var hashes []Digest
	walk(part{0, len(b.leaves)}, places, func(p part) { hashes = append(hashes, b.hash(p)) })
	dst = dcbor.AppendArray(dst, len(hashes))
	for i := range hashes {
		dst = dcbor.AppendBytes(dst, hashes[i][:])
	}
	return dst
}

// walk calls visit with the greatest parts without any of the places, from left to right.
func walk(p part, places []int, visit func(part)) {
	for len(places) > 0 && places[0] < p.lo {
		places = places[1:]
	}
	if len(places) == 0 || places[0] >= p.hi {
		visit(p)
		return
	}
	if p.hi-p.lo > 1 {
		left, right := p.halves()
		walk(left, places, visit)
		walk(right, places, visit)
	}
}

// scanBatch decodes what Append encodes. It does not check the signature.
func scanBatch(s *dcbor.Scanner, count time.Duration) (*Batch, error) {
	b := &Batch{}
	s.Tuple(6)
	b.Writer = string(s.Bytes())
	nonce, sig := s.Bytes(), s.Bytes()
	n := s.Uint()
	k := s.Array(maxBatch)
	if s.Bad() || len(b.Writer) > MaxName || len(nonce) != len(b.nonce) || len(sig) > maxSignature ||
		n > maxBatch || k == 0 || uint64(k) > n {
		return nil, dcbor.ErrForm
	}
	copy(b.nonce[:], nonce)
	b.Sig = append([]byte(nil), sig...)
	b.leaves, b.alive = make([]*Entry, n), k
	places, by := make([]int, k), namesOf(b.Writer)
	for i := range places {
		s.Tuple(3)
		place, age := s.Uint(), s.Uint()
		if s.Bad() || place >= n || i > 0 && int(place) <= places[i-1] {
			return nil, dcbor.ErrForm
		}
		places[i] = int(place)
		e := &Entry{batch: b, leaf: int(place)}
		var err error
		if e.hash, err = e.scan(s, by); err != nil {
			return nil, err
		}
		e.renewed = count - time.Duration(min(age, uint64(MaxAge/time.Millisecond)))*time.Millisecond
		b.leaves[place] = e
	}
	hashes := s.Array(maxBatch)
	var parts []part
	walk(part{0, int(n)}, places, func(p part) { parts = append(parts, p) })
	if s.Bad() || hashes != len(parts) {
		return nil, dcbor.ErrForm
	}
	if len(parts) > 0 {
		b.absent = make(map[part]Digest, len(parts))
	}
	for _, p := range parts {
		h := s.Bytes()
		if len(h) != len(Digest{}) {
			return nil, dcbor.ErrForm
		}
		b.absent[p] = Digest(h)
	}
	if s.Bad() {
		return nil, dcbor.ErrForm
	}
	return b, nil
}

// MaxAge is the highest age that makes a difference: no lease is longer.
const MaxAge = 366 * 24 * time.Hour
