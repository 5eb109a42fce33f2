package streamrpc

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/p2p-today/go2p/internal/frame"
	"github.com/p2p-today/go2p/internal/notify"
)

// A Stream is the part of a libp2p stream that clients and servers use. Reset ends the
// stream at once, for both ends, and makes reads and writes fail that wait.
type Stream interface {
	io.ReadWriter
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
	Reset() error
}

// maxSpare is the size in bytes up to which a writer reuses its buffers.
const maxSpare = 64 << 10

// A writer writes frames to a stream. If it is idle, the caller of send writes the frame at
// once; frames that are sent meanwhile are written together afterwards. The lock guards the
// buffers. It is released while a goroutine writes, and busy is set.
type writer struct {
	stream    Stream
	maxUnsent int
	time      time.Duration // of one write; if 0, the context of the caller of send bounds it
	rest      sync.WaitGroup

	mu    sync.Mutex
	room  notify.Broadcast // a write has ended
	buf   []byte           // not written yet
	spare []byte           // empty, for reuse
	busy  bool
	err   error
}

func newWriter(s Stream, l Limits) *writer {
	return &writer{stream: s, maxUnsent: l.MaxUnsent, time: l.WriteTime}
}

// send writes a body as one frame, or leaves it to the goroutine that writes. While more
// than maxUnsent bytes wait to be written, send waits. If a write fails, the stream is
// reset, since it may end inside a frame; later calls return the error.
func (w *writer) send(ctx context.Context, body []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w.mu.Lock()
	for len(w.buf) > w.maxUnsent && w.err == nil {
		room := w.room.C()
		w.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
		w.mu.Lock()
	}
	defer w.mu.Unlock()
	if w.err != nil {
		return w.err
	}
	w.buf = frame.Append(w.buf, body)
	if w.busy {
		return nil
	}
	w.busy = true
	if w.time == 0 {
		defer context.AfterFunc(ctx, func() { w.stream.Reset() })()
	}
	w.write()
	if len(w.buf) > 0 && w.err == nil && w.time == 0 {
		w.rest.Go(func() { // the caller's context must not end the writes of others
			w.mu.Lock()
			defer w.mu.Unlock()
			w.writeRest()
		})
		return nil
	}
	w.writeRest()
	return w.err
}

// writeRest writes until the buffer is empty. The caller holds mu and has set busy.
func (w *writer) writeRest() {
	for len(w.buf) > 0 && w.err == nil {
		w.write()
	}
	w.busy = false
}

// write writes the buffer. The caller holds mu, which is released meanwhile.
func (w *writer) write() {
	out := w.buf
	w.buf, w.spare = w.spare[:0], nil
	w.mu.Unlock()
	if w.time > 0 {
		w.stream.SetWriteDeadline(time.Now().Add(w.time))
	}
	_, err := w.stream.Write(out)
	w.mu.Lock()
	if cap(out) <= maxSpare {
		w.spare = out
	}
	if err != nil {
		w.end(err)
		w.stream.Reset()
	}
	w.room.Notify()
}

// end sets the error of later calls of send. The caller holds mu.
func (w *writer) end(err error) {
	if w.err == nil {
		w.err = err
	}
}

// close ends the writer, whose stream was reset, and waits for the goroutine of writeRest.
func (w *writer) close(err error) {
	w.mu.Lock()
	w.end(err)
	w.room.Notify()
	w.mu.Unlock()
	w.rest.Wait()
}
