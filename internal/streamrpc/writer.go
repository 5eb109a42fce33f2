package streamrpc

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/p2p-today/go2p/internal/frame"
	"github.com/p2p-today/go2p/internal/notify"
)

// A Stream is what a client or server needs of a libp2p stream. Reset ends it at once, for
// both ends; reads and writes that wait fail then. All of it may be called concurrently,
// but for reads and writes with others of their kind.
type Stream interface {
	io.ReadWriter
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
	Reset() error
}

// maxSpare is the size up to which a writer uses its buffers again.
const maxSpare = 64 << 10

// A writer writes frames to a stream: at once, by the caller of send, when it is idle; and
// those that come meanwhile together, as soon as that is written. The lock guards the
// buffers. It is not held while one goroutine writes, which busy says.
type writer struct {
	stream    Stream
	maxUnsent int
	time      time.Duration // for one write; 0 for as long as the context of its caller allows
	rest      sync.WaitGroup

	mu    sync.Mutex
	room  notify.Broadcast // something was written, or nothing will be any more
	buf   []byte           // not written yet
	spare []byte           // empty, to be used again
	busy  bool
	err   error
}

func newWriter(s Stream, l Limits) *writer {
	return &writer{stream: s, maxUnsent: l.MaxUnsent, time: l.WriteTime}
}

// send has a body written as one frame. While more than maxUnsent bytes wait it waits for
// room. A frame that waits behind others is written later, and if that fails the error is
// returned to later callers. A frame that was written in part leaves no way to go on: then
// the stream is reset.
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
		w.rest.Go(func() { // the context of this caller must not end what others send
			w.mu.Lock()
			defer w.mu.Unlock()
			w.writeRest()
		})
		return nil
	}
	w.writeRest()
	return w.err
}

// writeRest writes until nothing waits. The caller holds mu, and has set busy.
func (w *writer) writeRest() {
	for len(w.buf) > 0 && w.err == nil {
		w.write()
	}
	w.busy = false
}

// write writes what waits. The caller holds mu, which is released meanwhile.
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

// end notes why nothing can be written any more. The caller holds mu.
func (w *writer) end(err error) {
	if w.err == nil {
		w.err = err
	}
}

// close ends the writer, whose stream was reset, and waits until nothing is written any
// more but by those who called send.
func (w *writer) close(err error) {
	w.mu.Lock()
	w.end(err)
	w.room.Notify()
	w.mu.Unlock()
	w.rest.Wait()
}
