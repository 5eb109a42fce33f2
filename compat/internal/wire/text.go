package wire

import "unicode/utf8"

// jsText returns bytes as js has them when it decodes them as UTF-8 and encodes them again. Each maximal invalid part
// becomes U+FFFD, as the WHATWG encoding standard says.
func jsText(b []byte) []byte {
	if utf8.Valid(b) {
		return b
	}
	var out []byte
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			n = invalidPart(b)
		}
		out, b = utf8.AppendRune(out, r), b[n:]
	}
	return out
}

// invalidPart returns the length of the maximal invalid part at the start of b.
func invalidPart(b []byte) int {
	more, low, high := 0, byte(0x80), byte(0xbf)
	switch first := b[0]; {
	case first >= 0xc2 && first <= 0xdf:
		more = 1
	case first >= 0xe0 && first <= 0xef:
		more = 2
		if first == 0xe0 {
			low = 0xa0
		} else if first == 0xed {
			high = 0x9f
		}
	case first >= 0xf0 && first <= 0xf4:
		more = 3
		if first == 0xf0 {
			low = 0x90
		} else if first == 0xf4 {
			high = 0x8f
		}
	}
	n := 1
	for ; n <= more && n < len(b) && b[n] >= low && b[n] <= high; n++ {
		low, high = 0x80, 0xbf
	}
	return n
}
