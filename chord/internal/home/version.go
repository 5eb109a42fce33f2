package home

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/p2p-today/go2p/internal/dcbor"
)

// Limits of a key and a value in bytes. The package sync has the same ones.
const (
	MaxKey   = 1 << 10
	MaxValue = 1 << 20
)

// MaxCounter is the highest counter of a version. No key can be written that often, so
// that there is always a counter above the one that stands.
const MaxCounter = 1 << 53

// MaxJump is how far a counter may be above what most replicas name. A replica that names
// one beyond that lies or is broken: each write goes one above the counter that it met.
const MaxJump = 1 << 20

const maxWriter = 512 // bytes of a writer's name

// A Version orders what was written to a key without a clock: the higher counter stands,
// then the higher writer, then the higher hash. The zero Version is below all others.
type Version struct {
	Counter uint64
	Writer  string // peer ID, as bytes; or legacy:<subnet>/<id>
	Hash    uint64 // of the value; 0 for a deletion
}

// Compare returns -1, 0 or 1 if v is below o, equal to it or above it.
func (v Version) Compare(o Version) int {
	return cmp.Or(cmp.Compare(v.Counter, o.Counter), cmp.Compare(v.Writer, o.Writer), cmp.Compare(v.Hash, o.Hash))
}

// Hash returns what a version says of its value: the first 64 bits of its SHA-256.
func Hash(value string) uint64 {
	sum := sha256.Sum256([]byte(value))
	return binary.BigEndian.Uint64(sum[:8])
}

// A Write is a version without its value: what a replica knows of a key.
type Write struct {
	Version
	Deleted bool
	At      time.Time // of the deletion, by the clock of the replica that first heard of it
	Size    int       // of the value, in bytes
}

// An Entry is a key with its version, and its value if that was asked for.
type Entry struct {
	Key   string
	Write Write
	Value string
}

// Append appends [counter, writer, hash].
func (v Version) Append(dst []byte) []byte {
	return dcbor.AppendUint(dcbor.AppendBytes(dcbor.AppendUint(dcbor.AppendArray(dst, 3), v.Counter), v.Writer), v.Hash)
}

// ScanVersion reads a version. A counter above MaxCounter fails the scanner.
func ScanVersion(s *dcbor.Scanner) Version {
	s.Tuple(3)
	v := Version{s.Uint(), ScanString(s, maxWriter), s.Uint()}
	if v.Counter > MaxCounter {
		s.Fail()
	}
	return v
}

// Append appends the version, whether it is a deletion, and for how many milliseconds the
// deletion has been known.
func (w *Write) Append(dst []byte, now time.Time) []byte {
	dst = dcbor.AppendBool(w.Version.Append(dst), w.Deleted)
	age := time.Duration(0)
	if w.Deleted {
		age = max(0, now.Sub(w.At))
	}
	return dcbor.AppendUint(dst, uint64(age.Milliseconds()))
}

// ScanWrite reads what Write.Append wrote. The size is left to the caller.
func ScanWrite(s *dcbor.Scanner, now time.Time) Write {
	w := Write{Version: ScanVersion(s), Deleted: s.Bool()}
	age := ScanAge(s)
	if age > 0 && !w.Deleted {
		s.Fail()
	}
	w.At = now.Add(-age)
	return w
}

// ScanString reads a byte string. One of more than most bytes fails the scanner.
func ScanString(s *dcbor.Scanner, most int) string {
	b := s.Bytes()
	if len(b) > most {
		s.Fail()
		return ""
	}
	return string(b)
}

// ScanAge reads a duration in milliseconds. More than a year counts as a year.
func ScanAge(s *dcbor.Scanner) time.Duration {
	return time.Duration(min(s.Uint(), 366*24*3600*1000)) * time.Millisecond
}

// AppendRow appends a row of the storage engine: [version, deleted, at in unix
// milliseconds, value].
func AppendRow(dst []byte, w Write, value string) []byte {
	dst = dcbor.AppendBool(w.Version.Append(dcbor.AppendArray(dst, 4)), w.Deleted)
	return dcbor.AppendBytes(dcbor.AppendUint(dst, uint64(max(0, w.At.UnixMilli()))), value)
}

// ScanRow reads a row. The value aliases data.
func ScanRow(data []byte) (w Write, value []byte, err error) {
	s := dcbor.Scan(data)
	s.Tuple(4)
	w = Write{Version: ScanVersion(&s), Deleted: s.Bool()}
	at := s.Uint()
	w.At, value = time.UnixMilli(int64(at)), s.Bytes()
	if at > 1<<48 { // after the year 10000
		s.Fail()
	}
	w.Size = len(value)
	return w, value, s.End()
}
