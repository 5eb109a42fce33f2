package chord

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/chord/internal/ring"
	"github.com/p2p-today/go2p/chord/internal/wire"
	"github.com/p2p-today/go2p/internal/lifecycle"
)

const (
	opTime       = 10 * time.Second      // for an operation whose context has no deadline
	askTime      = 5 * time.Second       // for a reply
	firstLatency = 20 * time.Millisecond // what a reply is thought to take at first
	minHedge     = 5 * time.Millisecond  // before replicas are asked that need not be
	maxHedge     = time.Second
)

// limited gives an operation its time if it has none.
func limited(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, opTime)
}

// A transport carries questions to other peers. Its errors say that there was no reply.
type transport interface {
	ask(ctx context.Context, to peer.ID, q *wire.Question) (*wire.Reply, error)
	report(p peer.ID) // it has answered what no honest peer does
}

// A client asks other nodes, and this one. What their replies tell of the ring the node
// learns; a peer that does not answer is a suspect until it is greeted, and lost if it does
// not answer that either. The lock guards the two maps.
type client struct {
	node      *node
	transport transport
	life      *lifecycle.Group
	log       *slog.Logger
	latency   atomic.Int64 // of a get or put, about, in nanoseconds

	mu       sync.Mutex
	greeting map[peer.ID]bool
	suspects map[peer.ID]bool
}

func newClient(n *node, life *lifecycle.Group, log *slog.Logger) *client {
	c := &client{node: n, life: life, log: log, greeting: map[peer.ID]bool{}, suspects: map[peer.ID]bool{}}
	c.latency.Store(int64(firstLatency))
	return c
}

// ask asks a peer, which may be this one. A peer that does not answer is greeted, to find
// out whether it is lost.
func (c *client) ask(ctx context.Context, p peer.ID, q *wire.Question) (*wire.Reply, error) {
	if p == c.node.id {
		a, wait, err := c.node.handle(p, q)
		if wait != nil {
			a = wait(ctx)
		}
		return a, err
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	start := time.Now()
	a, err := c.transport.ask(ctx, p, q)
	if err != nil {
		if c.life.Context().Err() == nil && !errors.Is(err, context.Canceled) {
			c.suspect(p)
		}
		return nil, err
	}
	if a.Kind == wire.SayFailed { // it may be of no use at all
		c.greetLater(p)
	}
	if a.View != nil {
		if !c.node.valid(p, a.View) {
			c.transport.report(p)
			return nil, errMalformed
		}
		c.node.meet(time.Now(), p, a.View, a.Next...)
	}
	if q.Kind == wire.AskGet || q.Kind == wire.AskPut {
		c.took(time.Since(start))
	}
	return a, nil
}

// askLong asks a question that may wait for its answer for watchTime.
func (c *client) askLong(ctx context.Context, p peer.ID, q *wire.Question) (*wire.Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, watchTime+askTime)
	defer cancel()
	if p == c.node.id {
		_, wait, err := c.node.handle(p, q)
		if err != nil {
			return nil, err
		}
		return wait(ctx), nil
	}
	a, err := c.transport.ask(ctx, p, q)
	if err != nil && errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("%w: it does not answer", err)
	}
	return a, err
}

// took notes how long a reply took. Of two at the same time one may not count.
func (c *client) took(d time.Duration) {
	was := c.latency.Load()
	c.latency.CompareAndSwap(was, was+(int64(d)-was)/16)
}

// hedge is how long the first replicas have before others are asked, too.
func (c *client) hedge() time.Duration {
	return min(max(4*time.Duration(c.latency.Load()), minHedge), maxHedge)
}

// suspect notes that a peer may be gone, and greets it to find out.
func (c *client) suspect(p peer.ID) {
	c.mu.Lock()
	c.suspects[p] = true
	c.mu.Unlock()
	c.greetLater(p)
}

// isSuspect reports whether a peer may be gone. A caller that can do without it asks another.
func (c *client) isSuspect(p peer.ID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.suspects[p]
}

// greetLater greets a peer in the background.
func (c *client) greetLater(p peer.ID) { c.life.Go(func() { c.greet(p) }) }

// greetAll greets nodes side by side, and waits for their answers.
func (c *client) greetAll(nodes []ring.Node) {
	var wg sync.WaitGroup
	for _, n := range nodes {
		wg.Go(func() { c.greet(peer.ID(n.Peer)) })
	}
	wg.Wait()
}

// greet greets a peer, unless that is being done already. A peer that does not answer is
// lost.
func (c *client) greet(p peer.ID) {
	c.mu.Lock()
	busy := c.greeting[p]
	c.greeting[p] = true
	c.mu.Unlock()
	if busy {
		return
	}
	ctx, cancel := context.WithTimeout(c.life.Context(), askTime)
	defer cancel()
	a, err := c.transport.ask(ctx, p, c.node.hello())
	if err == nil {
		err = c.greeted(p, a)
	}
	if err != nil && c.life.Context().Err() == nil {
		c.node.lose(p, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.greeting, p)
	delete(c.suspects, p)
}

// greeted takes the reply to a greeting.
func (c *client) greeted(p peer.ID, a *wire.Reply) error {
	switch {
	case a.Kind == wire.SayRefused:
		return c.node.neighbours.refuse(p, int(a.K))
	case a.Kind != wire.SayView || !c.node.valid(p, a.View):
		c.transport.report(p)
		return errMalformed
	}
	c.node.meet(time.Now(), p, a.View)
	return nil
}
