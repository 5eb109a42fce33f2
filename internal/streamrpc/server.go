package streamrpc

import (
	"context"
	"sync"
	"time"

	"github.com/p2p-today/go2p/internal/frame"
)

// A Handler answers one question: with a body at once; or later, with one that it waits
// for, while further questions are answered; or not at all, if both are nil. An error ends
// the stream. A handler may wait itself: nothing more is read of the stream meanwhile.
//
// Questions of one stream are handled one after the other, in their order.
type Handler func(question []byte) (answer []byte, later func(ctx context.Context) []byte, err error)

// Serve answers the questions of a stream until the stream ends, the context does, or the
// handler returns an error. Then it resets the stream, ends the context of what is still to
// be answered later, of which there is never more than maxLater, and waits for it. It
// returns why the stream has ended; errors of package frame stay recognizable.
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

// A Limiter bounds how many streams of one peer are served at a time. Its methods may be
// called concurrently.
type Limiter[K comparable] struct {
	max int

	mu      sync.Mutex
	serving map[K]int
}

// NewLimiter returns a limiter of so many streams of each peer.
func NewLimiter[K comparable](max int) *Limiter[K] {
	return &Limiter[K]{max: max, serving: map[K]int{}}
}

// Enter counts one more stream of a peer, until Leave. It reports false, and counts
// nothing, if the peer has as many as it may.
func (l *Limiter[K]) Enter(p K) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.serving[p] >= l.max {
		return false
	}
	l.serving[p]++
	return true
}

// Leave ends what Enter has counted.
func (l *Limiter[K]) Leave(p K) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.serving[p]--; l.serving[p] == 0 {
		delete(l.serving, p)
	}
}
