package compat

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/p2p-today/go2p/compat/internal/legacy"
	"github.com/p2p-today/go2p/internal/lifecycle"
)

const maxIncoming = 256

// connections runs the connections of a node. Its lock guards which there are, and which addresses lead to each. The
// lock may be taken while that of the engine is held, never the other way round.
type connections struct {
	engine *engine
	life   *lifecycle.Group
	log    *slog.Logger

	mu    sync.Mutex
	conns map[*legacy.Session]*conn
}

// take runs a connection that this node has dialled at addr, or accepted if addr is empty. Errors: ErrFull, ErrClosed.
func (cs *connections) take(p pipe, addr string) (*conn, error) {
	c := newConn(p)
	err := cs.engine.do(func(now time.Time) (legacy.Effects, error) {
		if cs.life.Sealed() {
			return legacy.Effects{}, ErrClosed
		}
		if addr == "" && cs.len() >= maxIncoming {
			return legacy.Effects{}, ErrFull
		}
		if addr != "" {
			c.addrs = []string{addr}
		}
		core := cs.engine.core
		s, out := core.Open(now, addr != "", p.remote())
		c.session = s
		cs.add(c)
		pacer := legacy.NewPacer(core.Network().Version, core.ID())
		w := &writer{out: c.out, pipe: p, pacer: pacer, more: func() bool { return cs.introduce(c) }}
		cs.life.Go(func() { cs.read(c) })
		cs.life.Go(func() { w.run(c.end) })
		return out, nil
	})
	if err != nil {
		p.Close()
		return nil, err
	}
	return c, nil
}

// read runs the reading side of a connection, and then forgets the connection.
func (cs *connections) read(c *conn) {
	why := c.read(func(body []byte) error {
		return cs.engine.do(func(now time.Time) (legacy.Effects, error) {
			return cs.engine.core.Receive(now, c.session, body), nil
		})
	})
	cs.remove(c)
	cs.engine.do(func(now time.Time) (legacy.Effects, error) {
		if !errors.Is(why, ErrClosed) {
			cs.log.Info("old node is gone", "remote", c.pipe.remote(), "id", c.session.Peer().ID, "err", why)
		}
		return cs.engine.core.Closed(now, c.session, why), nil
	})
	close(c.gone)
}

// introduce has the core send a part of the keys that a node must still be told. It reports whether there were any.
func (cs *connections) introduce(c *conn) (more bool) {
	cs.engine.do(func(now time.Time) (out legacy.Effects, err error) {
		out, more = cs.engine.core.Introduce(now, c.session)
		return out, nil
	})
	return more
}

// perform does what the core wants done with connections. Some of them may be over.
func (cs *connections) perform(out legacy.Effects) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for _, f := range out.Frames {
		if c := cs.conns[f.To]; c != nil {
			c.send(f)
		}
	}
	for _, s := range out.Ready {
		close(cs.conns[s].ready)
	}
	for _, s := range out.Answered {
		if c := cs.conns[s]; c != nil {
			c.out.answered()
		}
	}
	for _, e := range out.Endings {
		if c := cs.conns[e.Session]; c != nil {
			c.finish(e.Why)
		}
	}
}

// of returns the connection of a session, or nil. From now on addr leads to it.
func (cs *connections) of(s *legacy.Session, addr string) *conn {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	c := cs.conns[s]
	if c != nil && !slices.Contains(c.addrs, addr) {
		c.addrs = append(c.addrs, addr)
	}
	return c
}

// addrs returns the addresses that lead to the connection of a session.
func (cs *connections) addrs(s *legacy.Session) []string {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if c := cs.conns[s]; c != nil {
		return slices.Clone(c.addrs)
	}
	return nil
}

// awaitRoom waits until the outboxes of all nodes have room. A node that reads nothing is disconnected after a while.
// Error: the context's.
func (cs *connections) awaitRoom(ctx context.Context) error {
	for _, c := range cs.all() {
		if err := c.out.awaitRoom(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (cs *connections) all() []*conn {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return slices.Collect(maps.Values(cs.conns))
}

func (cs *connections) len() int {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return len(cs.conns)
}

func (cs *connections) add(c *conn) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.conns[c.session] = c
}

func (cs *connections) remove(c *conn) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	delete(cs.conns, c.session)
}
