package sync

// CORE: what is kept of a key, its order and its bytes.

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"github.com/p2p-today/go2p/internal/canon"
)

// Limits of a record.
const (
	MaxKey   = 1 << 10 // bytes
	MaxValue = 1 << 20 // bytes of its CBOR

	maxName = 256 // bytes of an owner or writer
)

// A dot names an event: the n-th of a writer, from 1.
type dot struct {
	writer string // peer ID and incarnation
	n      uint64
}

// A record is an event: a key gets a value, or is deleted. The last event of a key is
// what a replica keeps, unless it is a delete. Records are not changed once they are
// made.
type record struct {
	key     string
	value   string // CBOR
	owner   string // peer ID, or legacy:<subnet>/<id>
	term    uint64 // raised when the owner changes
	seq     uint64 // raised when the owner writes again
	dot     dot
	over    dot // what it replaces or deletes; zero if there was nothing
	time    int64
	deleted bool
}

// A digest is the start of a SHA-256.
type digest [16]byte

// append appends the canonical bytes of the record, which are signed and compared.
//
//	[key, value, owner, term, seq, writer, n, over: [] or [writer, n], time, deleted]
func (r *record) append(dst []byte) []byte {
	dst = canon.AppendBytes(canon.AppendArray(dst, 10), r.key)
	dst = canon.AppendBytes(canon.AppendBytes(dst, r.value), r.owner)
	dst = canon.AppendUint(canon.AppendUint(dst, r.term), r.seq)
	dst = canon.AppendUint(canon.AppendBytes(dst, r.dot.writer), r.dot.n)
	if r.over.n == 0 {
		dst = canon.AppendArray(dst, 0)
	} else {
		dst = canon.AppendUint(canon.AppendBytes(canon.AppendArray(dst, 2), r.over.writer), r.over.n)
	}
	return canon.AppendBool(canon.AppendInt(dst, r.time), r.deleted)
}

// errRecord says that a record is none that a peer may write.
var errRecord = errors.New("record that nobody may write")

// scanRecord reads a record with the scanner, and checks its limits. Its strings are
// its own.
func scanRecord(s *canon.Scanner) (record, error) {
	var r record
	s.Tuple(10)
	key, value := s.Bytes(), s.Bytes()
	r.owner = string(s.Bytes())
	r.term, r.seq = s.Uint(), s.Uint()
	r.dot = dot{string(s.Bytes()), s.Uint()}
	if s.Array(2) == 2 {
		r.over = dot{string(s.Bytes()), s.Uint()}
		if r.over.n == 0 {
			return r, errRecord
		}
	}
	r.time, r.deleted = s.Int(), s.Bool()
	switch {
	case s.Bad():
		return r, canon.ErrForm
	case len(key) > MaxKey || len(value) > MaxValue || max(len(r.owner), len(r.dot.writer), len(r.over.writer)) > maxName:
		return r, fmt.Errorf("%w: too large", errRecord)
	case r.dot.n == 0 || r.owner == "" || r.dot.writer == "" || r.term == 0 || r.term > maxTerm || r.deleted && (len(value) > 0 || r.over.n == 0):
		return r, errRecord
	}
	r.key, r.value = string(key), string(value)
	return r, nil
}

// hash names the record and all that is in it.
func (r *record) hash() digest {
	var room [512]byte
	sum := sha256.Sum256(r.append(room[:0]))
	return digest(sum[:])
}

// compare orders two living records of a key: the higher one stays. What was written
// in knowledge of another is higher than that, and no clock is in it. A higher term
// wins, then the lower owner (the old tie-break), then what its owner wrote later.
func (r *record) compare(o *record) int {
	return cmp.Or(
		cmp.Compare(r.term, o.term),
		strings.Compare(o.owner, r.owner),
		cmp.Compare(r.seq, o.seq),
		compareDigests(r.hash(), o.hash()),
	)
}

// legacyPrefix begins the owners of what came over an old link: legacy:<subnet>/<id>.
const legacyPrefix = "legacy:"

func isLegacy(owner string) bool { return strings.HasPrefix(owner, legacyPrefix) }

func compareDigests(a, b digest) int { return bytes.Compare(a[:], b[:]) }
