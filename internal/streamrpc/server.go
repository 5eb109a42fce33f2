package streamrpc

import (
	"context"
	"sync"
	"time"

	"github.com/p2p-today/go2p/internal/frame"
)

// A Handler handles one question. It returns the answer, or a function that is called in a
// goroutine of its own and returns the answer later, or neither if there is no answer. An
// error ends the stream.
//
// The questions of a stream are handled one after the other, in their order. While a handler
// runs, nothing more of the stream is read.
type Handler func(question []byte) (answer []byte, later func(ctx context.Context) []byte, err error)

// Serve answers the questions of a stream, until the stream or the context ends or handle
// returns an error. At most maxLater questions wait for a later answer; then Serve reads no
// further ones.
//
// At its end Serve resets the stream, ends the context of the later answers and waits for
// them. It returns why the stream has ended: the error of handle, of package frame, of the
// stream, or of the context.
func Serve(ctx context.Context, s Stream, l Limits, maxLater int, handle Handler) (err error) {
	defer context.AfterFunc(ctx, func() { s.Reset() })()
	in, out := frame.NewReader(s, l.MaxFrame), newWriter(s, l)
	slots := make(chan struct{}, maxLater)
	ctx, cancel := context.WithCancel(ctx)
	var answering sync.WaitGroup
	defer func() {
		cancel()
		s.Reset()
		out.close(err)
		answering.Wait()
	}()
	for {
		if l.Idle > 0 {
			s.SetReadDeadline(time.Now().Add(l.Idle))
		}
		question, err := in.Next()
		if err != nil {
			return err
		}
		answer, later, err := handle(question)
		switch {
		case err != nil:
			return err
		case answer != nil:
			if err := out.send(ctx, answer); err != nil {
				return err
			}
		case later != nil:
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return ctx.Err()
			}
			answering.Go(func() {
				defer func() { <-slots }()
				out.send(ctx, later(ctx)) // the stream's end is noticed where it is read
			})
		}
	}
}

// A Limiter bounds the number of streams of one peer that are served at a time. Its methods
// may be called concurrently.
type Limiter[K comparable] struct {
	max int

	mu      sync.Mutex
	serving map[K]int
}

// NewLimiter returns a limiter of max streams of each peer.
func NewLimiter[K comparable](max int) *Limiter[K] {
	return &Limiter[K]{max: max, serving: map[K]int{}}
}

// Enter adds a stream of a peer, until Leave is called. If the peer has max streams already,
// Enter adds nothing and reports false.
func (l *Limiter[K]) Enter(p K) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.serving[p] >= l.max {
		return false
	}
	l.serving[p]++
	return true
}

// Leave removes a stream that Enter has added.
func (l *Limiter[K]) Leave(p K) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.serving[p]--; l.serving[p] == 0 {
		delete(l.serving, p)
	}
}
