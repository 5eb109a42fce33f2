// Package frame reads and writes length-delimited messages of bounded size: the length of
// the body as an unsigned varint, then the body. All native stream protocols use it.
//
// A length is checked before memory is taken. Memory grows with the bytes that arrive
// rather than with the length that was announced.
package frame

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// ErrTooLarge reports a frame that announces more bytes than its reader allows.
var ErrTooLarge = errors.New("frame too large")

// step is how much a reader allocates ahead of the bytes that have arrived.
const step = 32 << 10

// Append appends body as one frame to dst.
func Append(dst, body []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(body)))
	return append(dst, body...)
}

// Write writes body as one frame in a single call of w.Write, so that the frames of
// concurrent writers do not mix.
func Write(w io.Writer, body []byte) error {
	_, err := w.Write(Append(make([]byte, 0, binary.MaxVarintLen32+len(body)), body))
	return err
}

// A Reader reads frames. It is not safe for concurrent use.
type Reader struct {
	r   *bufio.Reader
	max int
}

// NewReader returns a Reader that refuses bodies longer than max bytes.
func NewReader(r io.Reader, max int) *Reader {
	return &Reader{bufio.NewReader(r), max}
}

// Next returns the body of the next frame in memory of its own. The error is
// io.EOF at the end between two frames, io.ErrUnexpectedEOF inside of one and
// ErrTooLarge (wrapped) for a frame beyond the limit.
func (r *Reader) Next() ([]byte, error) {
	n, err := binary.ReadUvarint(r.r)
	if err != nil {
		return nil, err
	}
	if n > uint64(r.max) {
		return nil, fmt.Errorf("%w: %d bytes, at most %d allowed", ErrTooLarge, n, r.max)
	}
	body := make([]byte, 0, min(int(n), step))
	for len(body) < int(n) {
		if len(body) == cap(body) {
			body = append(body, make([]byte, min(len(body), int(n)-len(body)))...)[:len(body)]
		}
		part := body[len(body):min(cap(body), int(n))]
		if _, err := io.ReadFull(r.r, part); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		body = body[:len(body)+len(part)]
	}
	return body, nil
}
