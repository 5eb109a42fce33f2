package sync

// CORE: what is kept of a key, its order and its bytes.

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"github.com/p2p-today/go2p/internal/dcbor"
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

// errRecord says that a record is none that a peer may write.
var errRecord = errors.New("record that nobody may write")

// names are what the records of one writer have in common.
type names struct {
	writer, owner string
	digest        digest // of the writer
}

// namesOf returns the names of a writer, which is an incarnation of its owner.
func namesOf(writer string) names {
	owner, _, _ := strings.Cut(writer, "/")
	sum := sha256.Sum256([]byte(writer))
	return names{writer, owner, digest(sum[:])}
}

// append appends the bytes of a record, without what is common to those of its writer:
//
//	[key, value, owner or "", term, seq, n, over: [], [n] or [writer, n], time, deleted]
func (r *record) append(dst []byte, by names) []byte {
	dst = dcbor.AppendBytes(dcbor.AppendArray(dst, 9), r.key)
	dst = dcbor.AppendBytes(dst, r.value)
	if r.owner == by.owner {
		dst = dcbor.AppendBytes(dst, "")
	} else {
		dst = dcbor.AppendBytes(dst, r.owner)
	}
	dst = dcbor.AppendUint(dcbor.AppendUint(dcbor.AppendUint(dst, r.term), r.seq), r.dot.n)
	switch {
	case r.over.n == 0:
		dst = dcbor.AppendArray(dst, 0)
	case r.over.writer == by.writer:
		dst = dcbor.AppendUint(dcbor.AppendArray(dst, 1), r.over.n)
	default:
		dst = dcbor.AppendUint(dcbor.AppendBytes(dcbor.AppendArray(dst, 2), r.over.writer), r.over.n)
	}
	return dcbor.AppendBool(dcbor.AppendInt(dst, r.time), r.deleted)
}

// scan reads what append writes into an empty record, checks its limits, and returns its
// hash. The strings of the record are its own, or those of the names.
func (r *record) scan(s *dcbor.Scanner, by names) (hash digest, err error) {
	data := s.Rest()
	r.owner, r.dot.writer = by.owner, by.writer
	s.Tuple(9)
	key, value := s.Bytes(), s.Bytes()
	twice := false // something is said that goes without saying
	if owner := s.Bytes(); len(owner) > 0 {
		r.owner = string(owner)
		twice = r.owner == by.owner
	}
	r.term, r.seq, r.dot.n = s.Uint(), s.Uint(), s.Uint()
	over := s.Array(2)
	if over > 0 {
		r.over.writer = by.writer
		if over == 2 {
			r.over.writer = string(s.Bytes())
			twice = twice || r.over.writer == by.writer
		}
		r.over.n = s.Uint()
	}
	r.time, r.deleted = s.Int(), s.Bool()
	switch {
	case s.Bad():
		return hash, dcbor.ErrForm
	case len(key) > MaxKey || len(value) > MaxValue || max(len(r.owner), len(r.dot.writer), len(r.over.writer)) > maxName:
		return hash, fmt.Errorf("%w: too large", errRecord)
	case twice || r.dot.n == 0 || r.owner == "" || r.dot.writer == "" || r.term == 0 || r.term > maxTerm,
		over > 0 && (r.over.n == 0 || r.over.writer == ""), r.deleted && (len(value) > 0 || over == 0):
		return hash, errRecord
	}
	var both strings.Builder // one piece of memory
	both.Grow(len(key) + len(value))
	both.Write(key)
	both.Write(value)
	r.key, r.value = both.String()[:len(key)], both.String()[len(key):]
	return hashRecord(by, data[:len(data)-len(s.Rest())]), nil
}

// hash names the record and all that is in it.
func (r *record) hash() digest { return r.hashBy(namesOf(r.dot.writer)) }

// hashBy is hash for who has the names of the writer at hand.
func (r *record) hashBy(by names) digest {
	var room [512]byte
	return hashRecord(by, r.append(room[:0], by))
}

// hashRecord is the hash of a record of a writer, from its bytes.
func hashRecord(by names, data []byte) digest {
	var room [512]byte
	sum := sha256.Sum256(append(append(room[:0], by.digest[:]...), data...))
	return digest(sum[:])
}

// compare orders two living records of a key: the higher one stays. What was written
// in knowledge of another is higher than that, and no clock is in it. A higher term
// wins, then the lower owner (the old tie-break), then what its owner wrote later.
func (r *record) compare(o *record) int {
	c := cmp.Or(cmp.Compare(r.term, o.term), strings.Compare(o.owner, r.owner), cmp.Compare(r.seq, o.seq))
	if c == 0 {
		a, b := r.hash(), o.hash()
		c = bytes.Compare(a[:], b[:])
	}
	return c
}

// size is roughly how many bytes a record takes in a message, rather too many.
func (r *record) size() int { return len(r.key) + len(r.value) + len(r.over.writer) + 64 }

// LegacyPrefix begins the owners of what came over an old link: legacy:<subnet>/<id>.
const LegacyPrefix = "legacy:"

func isLegacy(owner string) bool { return strings.HasPrefix(owner, LegacyPrefix) }
