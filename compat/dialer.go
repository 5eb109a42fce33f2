package compat

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/p2p-today/go2p/compat/internal/legacy"
	"github.com/p2p-today/go2p/internal/backoff"
	"github.com/p2p-today/go2p/internal/lifecycle"
)

// redial is how long a node that was lost is not dialled again.
var redial = backoff.Policy{Min: time.Second, Max: time.Minute, Less: 0.5, More: 0.5}

const dialsAMinute = 10 // to addresses that others tell of

// A dialer connects to addresses: to those that it must keep connected, and to those that other nodes tell of, which
// it bounds. Its lock guards both lists. The lock may be taken while that of the engine is held, never the other way
// round.
type dialer struct {
	engine    *engine
	conns     *connections
	life      *lifecycle.Group
	log       *slog.Logger
	transport Transport

	mu     sync.Mutex
	kept   map[string]context.CancelFunc // addresses that are kept connected, and what ends that
	busy   map[string]bool               // addresses that others have told of, and that are being dialled
	minute time.Time                     // since which the dials to such are counted
	count  int
}

// keep dials an address, and keeps it connected from then on. Errors: those of dial.
func (d *dialer) keep(ctx context.Context, addr string) error {
	c, err := d.dial(ctx, addr)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.kept[addr] != nil {
		return nil
	}
	keeping, end := context.WithCancel(d.life.Context())
	if !d.life.Go(func() { d.redial(keeping, c, addr) }) {
		end()
		return ErrClosed
	}
	d.kept[addr] = end
	return nil
}

// forget no longer keeps addresses connected.
func (d *dialer) forget(addrs []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, addr := range addrs {
		if end := d.kept[addr]; end != nil {
			end()
			delete(d.kept, addr)
		}
	}
}

// dial returns a connection with the node at an address, as soon as the node has said who it is. Errors: those of
// dialling, ErrClosed, the context's, and why the connection has ended.
func (d *dialer) dial(ctx context.Context, addr string) (*conn, error) {
	if _, err := ParseAddr(addr); err != nil {
		return nil, err
	}
	var s *legacy.Session
	d.engine.readClosed(func() { s = d.engine.core.SessionAt(addr) })
	if c := d.conns.of(s, addr); c != nil {
		return c, nil
	}
	ctx, cancel := context.WithTimeout(ctx, dialTime+legacy.GreetTime)
	defer cancel()
	defer context.AfterFunc(d.life.Context(), cancel)()
	p, err := dialPipe(ctx, d.transport, addr)
	if err != nil {
		return nil, err
	}
	c, err := d.conns.take(p, addr)
	if err != nil {
		return nil, err
	}
	select {
	case <-c.ready:
		return c, nil
	case <-c.gone:
		return d.instead(c, addr)
	case <-ctx.Done():
		c.end(ctx.Err())
		return nil, ctx.Err()
	}
}

// instead returns the connection that stays of two with one node, if c has ended for it. Error: why c has ended.
func (d *dialer) instead(c *conn, addr string) (*conn, error) {
	why := c.out.reason()
	if !errors.Is(why, ErrTwice) {
		return nil, why
	}
	var s *legacy.Session
	d.engine.readClosed(func() { s = d.engine.core.Session(c.session.Peer().ID) })
	if other := d.conns.of(s, addr); other != nil {
		return other, nil
	}
	return nil, why // it is lost
}

// redial dials an address again whenever its connection is lost.
func (d *dialer) redial(ctx context.Context, c *conn, addr string) {
	pause := backoff.Backoff{Policy: redial}
	rng := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	for {
		if c != nil {
			select {
			case <-c.gone:
			case <-ctx.Done():
				return
			}
			if c, _ = d.instead(c, addr); c != nil {
				continue
			}
			pause.Reset()
		}
		if lifecycle.Sleep(ctx, pause.Next(rng)) != nil {
			return
		}
		var err error
		if c, err = d.dial(ctx, addr); err != nil {
			d.log.Info("cannot connect again", "addr", addr, "err", err)
		}
	}
}

// try dials an address of which another node has told. It reports false if too many such addresses were dialled.
func (d *dialer) try(addr string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.busy[addr] {
		return true
	}
	if now := time.Now(); now.Sub(d.minute) > time.Minute {
		d.minute, d.count = now, 0
	}
	if d.count++; d.count > dialsAMinute {
		return false
	}
	d.busy[addr] = d.life.Go(func() {
		if _, err := d.dial(d.life.Context(), addr); err != nil {
			d.log.Info("cannot connect", "addr", addr, "err", err)
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.busy, addr)
	})
	return true
}
