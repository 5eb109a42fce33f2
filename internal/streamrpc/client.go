package streamrpc

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/p2p-today/go2p/internal/frame"
	"github.com/p2p-today/go2p/internal/lifecycle"
)

// An Env is what Clients need of their owner. K identifies peers; A is the type of answers.
type Env[K comparable, A any] struct {
	Group    *lifecycle.Group // of all goroutines; its end resets the streams
	Open     func(ctx context.Context, to K) (Stream, error)
	OpenTime time.Duration // limit of Open; 0 for none

	// Parse decodes an answer and the number of its question. The goroutine that reads the
	// stream calls it. An error ends the stream.
	Parse func(to K, body []byte) (id uint64, answer A, err error)

	// Greet, if not nil, asks the first question of a stream. Other callers wait until it
	// returns. An error ends the stream.
	Greet func(to K, c *Client[A]) error

	// Ended, if not nil, is called when an open stream has ended, before the callers that
	// wait for answers are woken. The error wraps one of Parse or of package frame.
	Ended func(to K, err error)
}

// Clients hold at most one open stream to each peer. Their methods may be called
// concurrently. The lock guards the map, and is not held while a stream is opened.
type Clients[K comparable, A any] struct {
	env    Env[K, A]
	limits Limits

	mu   sync.Mutex
	open map[K]*Client[A] // or opening
}

// NewClients returns Clients without a stream.
func NewClients[K comparable, A any](env Env[K, A], limits Limits) *Clients[K, A] {
	return &Clients[K, A]{env: env, limits: limits, open: map[K]*Client[A]{}}
}

// A Client is the asking end of one stream. Its methods may be called concurrently. The lock
// guards the error and the map of callers that wait for answers.
type Client[A any] struct {
	ready  chan struct{} // closed when the stream is open and greeted, or has failed
	stream Stream
	out    *writer
	ids    atomic.Uint64

	mu      sync.Mutex
	err     error             // why the stream has ended
	waiting map[uint64]chan A // by question; closed if there is no answer
}

// To returns the client for a peer. It opens a stream if there is none, and waits until the
// stream is open. Errors: those of Env.Open and Env.Greet, ErrClosed, or the context's.
func (cs *Clients[K, A]) To(ctx context.Context, to K) (*Client[A], error) {
	cs.mu.Lock()
	c := cs.open[to]
	if c == nil {
		c = &Client[A]{ready: make(chan struct{}), waiting: map[uint64]chan A{}}
		if !cs.env.Group.Go(func() { cs.run(c, to) }) {
			cs.mu.Unlock()
			return nil, ErrClosed
		}
		cs.open[to] = c
	}
	cs.mu.Unlock()
	select {
	case <-c.ready:
		return c, c.reason()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// run opens the stream of a client and reads answers until the stream ends.
func (cs *Clients[K, A]) run(c *Client[A], to K) {
	s, err := cs.openStream(to)
	if err != nil {
		cs.end(c, to, err)
		close(c.ready)
		return
	}
	c.stream, c.out = s, newWriter(s, cs.limits)
	defer context.AfterFunc(cs.env.Group.Context(), func() { s.Reset() })()
	cs.greet(c, to)
	err = c.read(cs.limits, func(body []byte) (uint64, A, error) { return cs.env.Parse(to, body) })
	if cs.env.Ended != nil {
		cs.env.Ended(to, err)
	}
	s.Reset()
	cs.end(c, to, err)
	c.out.close(err)
	<-c.ready
}

func (cs *Clients[K, A]) openStream(to K) (Stream, error) {
	ctx := cs.env.Group.Context()
	if cs.env.OpenTime > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, cs.env.OpenTime)
		defer cancel()
	}
	return cs.env.Open(ctx, to)
}

// greet marks the client as ready, at once or when Env.Greet has returned.
func (cs *Clients[K, A]) greet(c *Client[A], to K) {
	if cs.env.Greet == nil {
		close(c.ready)
		return
	}
	begun := cs.env.Group.Go(func() {
		defer close(c.ready)
		if err := cs.env.Greet(to, c); err != nil {
			cs.end(c, to, err)
			c.stream.Reset()
		}
	})
	if !begun {
		cs.end(c, to, ErrClosed)
		c.stream.Reset()
		close(c.ready)
	}
}

// end removes the client of a peer and wakes the callers that wait for answers.
func (cs *Clients[K, A]) end(c *Client[A], to K, err error) {
	cs.mu.Lock()
	if cs.open[to] == c {
		delete(cs.open, to)
	}
	cs.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
	}
	for _, answer := range c.waiting {
		close(answer)
	}
	clear(c.waiting)
}

// NextID returns 1, 2, 3 and so on, for owners that do not number their questions
// themselves.
func (c *Client[A]) NextID() uint64 { return c.ids.Add(1) }

// Ask sends a question and returns its answer. No two questions that wait for answers may
// have the same number. Errors: why the stream has ended, or the context's. After an error
// the question may have arrived or not.
func (c *Client[A]) Ask(ctx context.Context, id uint64, body []byte) (A, error) {
	var none A
	answer := make(chan A, 1)
	c.mu.Lock()
	if c.err != nil {
		defer c.mu.Unlock()
		return none, c.err
	}
	c.waiting[id] = answer
	c.mu.Unlock()
	err := c.out.send(ctx, body)
	if err == nil {
		select {
		case a, answered := <-answer:
			if answered {
				return a, nil
			}
			err = c.reason()
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.waiting, id)
	return none, err
}

func (c *Client[A]) reason() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// read hands each answer to the caller that waits for it, until the stream ends.
func (c *Client[A]) read(l Limits, parse func([]byte) (uint64, A, error)) error {
	in := frame.NewReader(c.stream, l.MaxFrame)
	for {
		if l.Idle > 0 {
			c.stream.SetReadDeadline(time.Now().Add(l.Idle))
		}
		body, err := in.Next()
		if err != nil {
			return fmt.Errorf("stream ended: %w", err)
		}
		id, a, err := parse(body)
		if err != nil {
			return err
		}
		c.mu.Lock()
		answer := c.waiting[id]
		delete(c.waiting, id)
		c.mu.Unlock()
		if answer != nil { // else the caller has given up
			answer <- a
		}
	}
}
