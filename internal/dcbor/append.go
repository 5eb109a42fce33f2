package dcbor

import "encoding/binary"

// The major types of CBOR that are written by hand.
const (
	majorUint  = 0 << 5
	majorInt   = 1 << 5 // -1-n
	majorBytes = 2 << 5
	majorText  = 3 << 5
	majorArray = 4 << 5
	majorMap   = 5 << 5

	simpleNo      = 0xf4
	simpleTrue    = 0xf5
	simpleNull    = 0xf6
	simpleFloat16 = 0xf9
	simpleFloat32 = 0xfa
	simpleFloat64 = 0xfb
)

// appendHead appends the shortest head of a major type.
func appendHead(dst []byte, major byte, n uint64) []byte {
	switch {
	case n < 24:
		return append(dst, major|byte(n))
	case n < 1<<8:
		return append(dst, major|24, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(dst, major|25), uint16(n))
	case n < 1<<32:
		return binary.BigEndian.AppendUint32(append(dst, major|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, major|27), n)
}

// AppendArray appends the head of an array, whose n elements are appended next.
func AppendArray(dst []byte, n int) []byte { return appendHead(dst, majorArray, uint64(n)) }

// AppendBytes appends a byte string.
func AppendBytes[S string | []byte](dst []byte, b S) []byte {
	return append(appendHead(dst, majorBytes, uint64(len(b))), b...)
}

// AppendText appends a text, which must be valid UTF-8.
func AppendText(dst []byte, s string) []byte {
	return append(appendHead(dst, majorText, uint64(len(s))), s...)
}

// AppendUint appends an integer that is not negative.
func AppendUint(dst []byte, n uint64) []byte { return appendHead(dst, majorUint, n) }

// AppendInt appends an integer.
func AppendInt(dst []byte, n int64) []byte {
	if n < 0 {
		return appendHead(dst, majorInt, uint64(-1-n))
	}
	return appendHead(dst, majorUint, uint64(n))
}

// AppendBool appends a truth value.
func AppendBool(dst []byte, b bool) []byte {
	if b {
		return append(dst, simpleTrue)
	}
	return append(dst, simpleNo)
}
