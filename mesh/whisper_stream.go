package mesh

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/p2p-today/go2p/internal/frame"
)

// A whisperStream is the open stream to one receiver. Its first mutex is held while the
// stream is opened or written, its second guards the rest and is locked after the first.
type whisperStream struct {
	opening sync.Mutex

	mu      sync.Mutex
	stream  network.Stream // nil before it is open
	broken  error
	pending map[uint64]chan error // not acknowledged, by number
}

func newWhisperStream() *whisperStream { return &whisperStream{pending: map[uint64]chan error{}} }

// open opens the stream unless it is open. It reports whether it has; then the caller is
// to call readAcks.
func (ws *whisperStream) open(dial func() (network.Stream, error)) (opened bool, err error) {
	ws.opening.Lock()
	defer ws.opening.Unlock()
	ws.mu.Lock()
	open, broken := ws.stream != nil, ws.broken
	ws.mu.Unlock()
	if open || broken != nil {
		return false, broken
	}
	s, err := dial()
	if err != nil {
		return false, err
	}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.stream = s
	return true, nil
}

// send writes a frame. The channel gets nil when the receiver has acknowledged it, or else
// why it never will.
func (ws *whisperStream) send(ctx context.Context, seq uint64, body []byte) (<-chan error, error) {
	acked := make(chan error, 1)
	ws.opening.Lock()
	defer ws.opening.Unlock()
	ws.mu.Lock()
	if ws.broken != nil {
		defer ws.mu.Unlock()
		return nil, ws.broken
	}
	ws.pending[seq] = acked
	s := ws.stream
	ws.mu.Unlock()
	// A frame that was written in part leaves no way to go on.
	stop := context.AfterFunc(ctx, func() { s.Reset() })
	defer stop()
	if err := frame.Write(s, body); err != nil {
		ws.fail(err)
		return nil, err
	}
	return acked, nil
}

// forget waits no more for the acknowledgement of a whisper.
func (ws *whisperStream) forget(seq uint64) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	delete(ws.pending, seq)
}

// fail tells all that wait for an acknowledgement that none will come.
func (ws *whisperStream) fail(err error) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.broken != nil {
		return
	}
	ws.broken = err
	if ws.stream != nil {
		ws.stream.Reset()
	}
	for _, acked := range ws.pending {
		acked <- err
	}
	clear(ws.pending)
}

// readAcks reads acknowledgements until the stream ends, at the latest when
// nothing was whispered for ten minutes. It calls heard for each.
func (ws *whisperStream) readAcks(heard func()) error {
	r := frame.NewReader(ws.stream, maxAck)
	for {
		ws.stream.SetReadDeadline(time.Now().Add(idleStream))
		body, err := r.Next()
		if err != nil {
			return fmt.Errorf("stream ended: %w", err)
		}
		heard()
		var ack whisperAck
		if err := whisperDecoder.Unmarshal(body, &ack); err != nil {
			return err
		}
		ws.mu.Lock()
		acked := ws.pending[ack.Seq]
		delete(ws.pending, ack.Seq)
		ws.mu.Unlock()
		switch {
		case acked == nil: // its sender gave up
		case ack.Refused:
			acked <- errRefused
		default:
			acked <- nil
		}
	}
}
