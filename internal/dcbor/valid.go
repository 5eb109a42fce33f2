package dcbor

import (
	"bytes"
	"encoding/binary"
	"math"
)

// Valid reports whether data is one value of the data model (null, truth values, integers
// of 64 bits, floats, byte strings, texts, arrays, and maps with texts as keys) in core
// deterministic form, with at most so many values in it, nested at most so deep. It
// takes no memory.
func Valid(data []byte, values, depth int) bool {
	s := Scan(data)
	s.value(&values, depth)
	return s.End() == nil
}

func (s *Scanner) value(left *int, depth int) {
	if *left--; *left < 0 || depth < 0 || len(s.rest) == 0 {
		s.bad = true
	}
	if s.bad {
		return
	}
	switch s.rest[0] & 0xe0 {
	case majorUint:
		s.Uint()
	case majorInt:
		s.Int()
	case majorBytes:
		s.Bytes()
	case majorText:
		s.Text()
	case majorArray:
		for range s.Array(*left) {
			if s.value(left, depth-1); s.bad {
				return
			}
		}
	case majorMap:
		s.pairs(left, depth)
	default:
		s.simple()
	}
}

// pairs reads a map, whose keys come in the order of their bytes.
func (s *Scanner) pairs(left *int, depth int) {
	n := s.head(majorMap)
	if n > uint64(max(0, *left)) {
		s.bad = true
		return
	}
	var last []byte
	for i := range n {
		from := s.rest
		s.Text()
		key := from[:len(from)-len(s.rest)]
		if i > 0 && bytes.Compare(last, key) >= 0 {
			s.bad = true
		}
		last = key
		if s.value(left, depth-1); s.bad {
			return
		}
	}
}

// simple reads a truth value, null, or a float in its shortest form.
func (s *Scanner) simple() {
	size := 1
	switch s.rest[0] {
	case simpleNo, simpleTrue, simpleNull:
	case simpleFloat16:
		size = 3
	case simpleFloat32:
		size = 5
	case simpleFloat64:
		size = 9
	default:
		s.bad = true
	}
	if s.bad || len(s.rest) < size {
		s.bad = true
		return
	}
	switch size {
	case 3:
		n := binary.BigEndian.Uint16(s.rest[1:])
		s.bad = n&0x7c00 == 0x7c00 && n&0x3ff != 0 && n != 0x7e00 // one NaN is enough
	case 5:
		f := math.Float32frombits(binary.BigEndian.Uint32(s.rest[1:]))
		s.bad = f != f || half(f)
	case 9:
		f := math.Float64frombits(binary.BigEndian.Uint64(s.rest[1:]))
		s.bad = f != f || float64(float32(f)) == f
	}
	s.rest = s.rest[size:]
}

// half reports whether a number is one of 16 bits.
func half(f float32) bool {
	bits := math.Float32bits(f)
	exponent, fraction := int(bits>>23&0xff)-127, bits&(1<<23-1)
	switch {
	case bits<<1 == 0 || exponent == 128:
		return true // zero, infinite
	case exponent > 15 || exponent < -24:
		return false
	case exponent >= -14:
		return fraction&(1<<13-1) == 0
	}
	// Subnormal: the leading one becomes part of the fraction.
	return (fraction|1<<23)&(1<<uint(13-14-exponent)-1) == 0
}
