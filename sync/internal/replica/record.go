package replica

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/p2p-today/go2p/internal/dcbor"
)

// Limits of a record.
const (
	MaxKey   = 1 << 10 // bytes
	MaxValue = 1 << 20 // bytes of its CBOR

	MaxName = 256 // bytes of an owner or writer
)

// A Dot names an event: the n-th of a writer, from 1.
type Dot struct {
	Writer string // peer ID and incarnation
	N      uint64
}

// A Record is an event: a key gets a value, or is deleted. A replica keeps the last event of
// each key, unless that is a delete. A record is not changed after it was made.
type Record struct {
	Key     string
	Value   string // CBOR
	Owner   string // peer ID, or legacy:<subnet>/<id>
	Term    uint64 // raised when the owner changes
	Seq     uint64 // raised when the owner writes again
	Dot     Dot
	Over    Dot // what it replaces or deletes; zero if there was nothing
	Time    int64
	Deleted bool
}

// A Digest is the first half of a SHA-256.
type Digest [16]byte

// errRecord says that no peer may write such a record.
var errRecord = errors.New("record that nobody may write")

// WriterName returns the name of an incarnation of an owner as a writer.
func WriterName(owner string, incarnation uint64) string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], incarnation)
	return owner + "/" + hex.EncodeToString(b[2:])
}

// incarnationOf returns the incarnation in the name of a writer, and 0 if it has none.
func incarnationOf(writer string) uint64 {
	_, digits, _ := strings.Cut(writer, "/")
	n, _ := strconv.ParseUint(digits, 16, 48)
	return n
}

// names are what all records of one writer have in common.
type names struct {
	writer, owner string
	digest        Digest // of the writer
}

// namesOf returns the names of a writer.
func namesOf(writer string) names {
	owner, _, _ := strings.Cut(writer, "/")
	sum := sha256.Sum256([]byte(writer))
	return names{writer, owner, Digest(sum[:])}
}

// append appends the encoding of a record, without what all records of its writer have in
// common:
//
//	[key, value, owner or "", term, seq, n, over: [], [n] or [writer, n], time, deleted]
func (r *Record) append(dst []byte, by names) []byte {
	dst = dcbor.AppendBytes(dcbor.AppendArray(dst, 9), r.Key)
	dst = dcbor.AppendBytes(dst, r.Value)
	if r.Owner == by.owner {
		dst = dcbor.AppendBytes(dst, "")
	} else {
		dst = dcbor.AppendBytes(dst, r.Owner)
	}
	dst = dcbor.AppendUint(dcbor.AppendUint(dcbor.AppendUint(dst, r.Term), r.Seq), r.Dot.N)
	switch {
	case r.Over.N == 0:
		dst = dcbor.AppendArray(dst, 0)
	case r.Over.Writer == by.writer:
		dst = dcbor.AppendUint(dcbor.AppendArray(dst, 1), r.Over.N)
	default:
		dst = dcbor.AppendUint(dcbor.AppendBytes(dcbor.AppendArray(dst, 2), r.Over.Writer), r.Over.N)
	}
	return dcbor.AppendBool(dcbor.AppendInt(dst, r.Time), r.Deleted)
}

// scan decodes into an empty record what append encodes. It checks the limits and returns
// the hash. The strings of the record are its own, or those of the names.
func (r *Record) scan(s *dcbor.Scanner, by names) (hash Digest, err error) {
	data := s.Rest()
	r.Owner, r.Dot.Writer = by.owner, by.writer
	s.Tuple(9)
	key, value := s.Bytes(), s.Bytes()
	redundant := false // what is left out as common is encoded
	if owner := s.Bytes(); len(owner) > 0 {
		r.Owner = string(owner)
		redundant = r.Owner == by.owner
	}
	r.Term, r.Seq, r.Dot.N = s.Uint(), s.Uint(), s.Uint()
	over := s.Array(2)
	if over > 0 {
		r.Over.Writer = by.writer
		if over == 2 {
			r.Over.Writer = string(s.Bytes())
			redundant = redundant || r.Over.Writer == by.writer
		}
		r.Over.N = s.Uint()
	}
	r.Time, r.Deleted = s.Int(), s.Bool()
	switch {
	case s.Bad():
		return hash, dcbor.ErrForm
	case len(key) > MaxKey || len(value) > MaxValue ||
		max(len(r.Owner), len(r.Dot.Writer), len(r.Over.Writer)) > MaxName:
		return hash, fmt.Errorf("%w: too large", errRecord)
	case redundant || r.Dot.N == 0 || r.Owner == "" || r.Dot.Writer == "" || r.Term == 0 || r.Term > maxTerm,
		over > 0 && (r.Over.N == 0 || r.Over.Writer == ""), r.Deleted && (len(value) > 0 || over == 0):
		return hash, errRecord
	}
	var both strings.Builder // one piece of memory
	both.Grow(len(key) + len(value))
	both.Write(key)
	both.Write(value)
	r.Key, r.Value = both.String()[:len(key)], both.String()[len(key):]
	return hashRecord(by, data[:len(data)-len(s.Rest())]), nil
}

// hash returns the name of the record with all that is in it.
func (r *Record) hash() Digest { return r.hashBy(namesOf(r.Dot.Writer)) }

// hashBy is hash for a caller that has the names of the writer.
func (r *Record) hashBy(by names) Digest {
	var room [512]byte
	return hashRecord(by, r.append(room[:0], by))
}

// hashRecord returns the hash of a record of a writer, from its encoding.
func hashRecord(by names, data []byte) Digest {
	var room [512]byte
	sum := sha256.Sum256(append(append(room[:0], by.digest[:]...), data...))
	return Digest(sum[:])
}

// compare orders two living records of a key; the higher one stays. A record that was
// written in knowledge of another is higher than that. Otherwise the higher term wins, then
// the lower owner (as on old networks), then the higher seq. No clock is involved.
func (r *Record) compare(o *Record) int {
	c := cmp.Or(cmp.Compare(r.Term, o.Term), strings.Compare(o.Owner, r.Owner), cmp.Compare(r.Seq, o.Seq))
	if c == 0 {
		a, b := r.hash(), o.hash()
		c = bytes.Compare(a[:], b[:])
	}
	return c
}

// Size returns roughly how many bytes a record takes in a message, rather too many.
func (r *Record) Size() int { return len(r.Key) + len(r.Value) + len(r.Over.Writer) + 64 }

// LegacyPrefix begins the owners on old networks: legacy:<subnet>/<id>.
const LegacyPrefix = "legacy:"

func isLegacy(owner string) bool { return strings.HasPrefix(owner, LegacyPrefix) }
