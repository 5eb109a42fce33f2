package dcbor

import (
	"encoding/binary"
	"errors"
	"math"
	"unicode/utf8"
)

// ErrForm reports bytes that are not in deterministic form, or not of the expected type.
var ErrForm = errors.New("not the expected CBOR in core deterministic form")

// A Scanner reads what the Append functions write, in the same order, and accepts nothing
// else. After the first mistake all results are zero, and End returns the error. Results
// alias the data that is read; nothing is allocated.
type Scanner struct {
	rest []byte
	bad  bool
}

// Scan returns a Scanner of data.
func Scan(data []byte) Scanner { return Scanner{rest: data} }

// head reads a head of the major type in its shortest form.
func (s *Scanner) head(major byte) uint64 {
	if s.bad || len(s.rest) == 0 || s.rest[0]&0xe0 != major {
		s.bad = true
		return 0
	}
	info := s.rest[0] & 0x1f
	if info < 24 {
		s.rest = s.rest[1:]
		return uint64(info)
	}
	size := 1 << (info - 24)
	if info > 27 || len(s.rest) < 1+size {
		s.bad = true
		return 0
	}
	var n, least uint64
	switch size {
	case 1:
		n, least = uint64(s.rest[1]), 24
	case 2:
		n, least = uint64(binary.BigEndian.Uint16(s.rest[1:])), 1<<8
	case 4:
		n, least = uint64(binary.BigEndian.Uint32(s.rest[1:])), 1<<16
	case 8:
		n, least = binary.BigEndian.Uint64(s.rest[1:]), 1<<32
	}
	if n < least {
		s.bad = true
		return 0
	}
	s.rest = s.rest[1+size:]
	return n
}

// Array reads the head of an array of at most max elements.
func (s *Scanner) Array(max int) int {
	n := s.head(majorArray)
	if n > uint64(max) {
		s.bad = true
		return 0
	}
	return int(n)
}

// Tuple reads the head of an array of exactly n elements.
func (s *Scanner) Tuple(n int) {
	if s.Array(n) != n {
		s.bad = true
	}
}

func (s *Scanner) string(major byte) []byte {
	n := s.head(major)
	if n > uint64(len(s.rest)) {
		s.bad = true
		return nil
	}
	b := s.rest[:n:n]
	s.rest = s.rest[n:]
	return b
}

// Bytes reads a byte string.
func (s *Scanner) Bytes() []byte { return s.string(majorBytes) }

// Text reads a text, as its bytes.
func (s *Scanner) Text() []byte {
	b := s.string(majorText)
	if !utf8.Valid(b) {
		s.bad = true
	}
	return b
}

// Uint reads an integer that is not negative.
func (s *Scanner) Uint() uint64 { return s.head(majorUint) }

// Int reads an integer.
func (s *Scanner) Int() int64 {
	if len(s.rest) > 0 && s.rest[0]&0xe0 == majorInt {
		n := s.head(majorInt)
		if n > math.MaxInt64 {
			s.bad = true
			return 0
		}
		return -1 - int64(n)
	}
	n := s.head(majorUint)
	if n > math.MaxInt64 {
		s.bad = true
		return 0
	}
	return int64(n)
}

// Bool reads a truth value.
func (s *Scanner) Bool() bool {
	if s.bad || len(s.rest) == 0 || s.rest[0]|1 != simpleTrue {
		s.bad = true
		return false
	}
	b := s.rest[0] == simpleTrue
	s.rest = s.rest[1:]
	return b
}

// Rest returns the bytes that were not read yet.
func (s *Scanner) Rest() []byte { return s.rest }

// Fail records a mistake that the caller has found, such as a number out of its range.
func (s *Scanner) Fail() { s.bad = true }

// Bad reports whether there was a mistake so far.
func (s *Scanner) Bad() bool { return s.bad }

// End returns ErrForm if there was a mistake or if anything is left.
func (s *Scanner) End() error {
	if s.bad || len(s.rest) > 0 {
		return ErrForm
	}
	return nil
}
