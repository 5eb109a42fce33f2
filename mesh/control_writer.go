package mesh

import (
	"context"
	"log/slog"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/p2p-today/go2p/internal/dcbor"
	"github.com/p2p-today/go2p/internal/frame"
)

// A controlWriter writes what one member is sent. Its goroutine owns the stream, which it
// opens when there is something to write, and again when it broke.
type controlWriter struct {
	out  <-chan controlMessage
	gone <-chan struct{} // closed when the membership ends
	open func(context.Context) (network.Stream, error)
	log  *slog.Logger

	stream network.Stream // nil if none is open
}

// run writes until the membership ends.
func (w *controlWriter) run(ctx context.Context) {
	defer w.reset()
	for {
		select {
		case <-w.gone:
			return
		case msg := <-w.out:
			if err := w.write(ctx, msg); err != nil {
				w.log.Debug("control stream broke", "err", err)
				w.reset()
			}
		}
	}
}

func (w *controlWriter) write(ctx context.Context, msg controlMessage) error {
	if w.stream == nil {
		ctx, cancel := context.WithTimeout(ctx, writeTimeout)
		defer cancel()
		s, err := w.open(ctx)
		if err != nil {
			return err
		}
		w.stream = s
	}
	body, err := dcbor.Marshal(msg)
	if err != nil {
		return err
	}
	limit := writeTimeout + time.Duration(len(body))*time.Second/slowControl
	w.stream.SetWriteDeadline(time.Now().Add(limit))
	return frame.Write(w.stream, body)
}

func (w *controlWriter) reset() {
	if w.stream != nil {
		w.stream.Reset()
		w.stream = nil
	}
}
