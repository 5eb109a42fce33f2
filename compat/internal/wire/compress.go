package wire

import (
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"io"
	"slices"

	"github.com/klauspost/compress/snappy"
	"github.com/ulikunitz/xz"
)

// A Method is a way to compress, with the number that both nodes know it by.
type Method uint8

// The methods that were ever built, of more that had numbers.
const (
	BZ2    Method = 0x10
	Gzip   Method = 0x11
	LZMA   Method = 0x12 // the xz container
	Zlib   Method = 0x13
	Snappy Method = 0x20 // a raw block, from 0.5 on
)

// Methods are those that this package can read and write, the best first. Every old node
// that compresses has zlib.
var Methods = []Method{Snappy, Zlib, Gzip}

// bomb is how much larger a body may become that is larger than a mebibyte.
const bomb = 100

// Choose returns the method for a body to a node, or 0 for none: the first of ours that the node has announced.
func Choose(own, announced []Method) Method {
	for _, m := range own {
		if slices.Contains(announced, m) {
			return m
		}
	}
	return 0
}

// Try returns the methods that a node which has announced theirs may have compressed a body with. Such a node uses the
// first of its own that the reader has, too, but does not say which.
func Try(own, announced []Method) []Method {
	var list []Method
	for _, m := range announced {
		if slices.Contains(own, m) {
			list = append(list, m)
		}
	}
	return list
}

// Compress compresses a body.
func Compress(m Method, body []byte) ([]byte, error) {
	var out bytes.Buffer
	var w io.WriteCloser
	switch m {
	case Snappy:
		return snappy.Encode(nil, body), nil
	case Zlib:
		w = zlib.NewWriter(&out)
	case Gzip:
		w = gzip.NewWriter(&out)
	default:
		return nil, fmt.Errorf("%w: method %#x is only read", ErrCompression, uint8(m))
	}
	if _, err := w.Write(body); err != nil {
		return nil, err
	}
	err := w.Close()
	return out.Bytes(), err
}

// Decompress decompresses a body. It returns ErrBomb if the result is far larger than the body.
func Decompress(m Method, body []byte) ([]byte, error) {
	limit := min(max(1<<20, bomb*len(body)), MaxFrame)
	in := bytes.NewReader(body)
	var r io.Reader
	var err error
	switch m {
	case Snappy:
		n, err := snappy.DecodedLen(body)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrCompression, err)
		}
		if n > limit {
			return nil, fmt.Errorf("%w: %d bytes of %d", ErrBomb, n, len(body))
		}
		out, err := snappy.Decode(nil, body)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrCompression, err)
		}
		return out, nil
	case Gzip, Zlib: // py reads either as both
		if bytes.HasPrefix(body, []byte{0x1f, 0x8b}) {
			r, err = gzip.NewReader(in)
		} else {
			r, err = zlib.NewReader(in)
		}
	case BZ2:
		r = bzip2.NewReader(in)
	case LZMA:
		r, err = xz.ReaderConfig{DictCap: MaxFrame}.NewReader(in)
	default:
		err = fmt.Errorf("method %#x", uint8(m))
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCompression, err)
	}
	out, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if len(out) > limit {
		return nil, fmt.Errorf("%w: more than %d bytes of %d", ErrBomb, limit, len(body))
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCompression, err)
	}
	return out, nil
}
