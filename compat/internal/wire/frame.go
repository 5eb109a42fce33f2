package wire

import (
	"encoding/binary"
	"fmt"
	"io"
)

// step is how much is allocated ahead of what has arrived.
const step = 64 << 10

// AppendFrame appends a body as one frame: four bytes of length, and the body.
func AppendFrame(dst, body []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(body)))
	return append(dst, body...)
}

// ReadFrame reads the body of one frame, in memory of its own that grows with what arrives. Errors: io.EOF between two
// frames, io.ErrUnexpectedEOF inside a frame, and ErrTooLarge if the body is longer than limit.
func ReadFrame(r io.Reader, limit int) ([]byte, error) {
	var prefix [4]byte
	if _, err := io.ReadFull(r, prefix[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(prefix[:])
	if int64(n) > int64(limit) {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, n, limit)
	}
	body := make([]byte, 0, min(int(n), step))
	for len(body) < int(n) {
		if len(body) == cap(body) {
			body = append(body, 0)[:len(body)]
		}
		part := body[len(body):min(cap(body), int(n))]
		got, err := io.ReadFull(r, part)
		body = body[:len(body)+got]
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
	}
	return body, nil
}
