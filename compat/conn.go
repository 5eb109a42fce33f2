package compat

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

const (
	maxQueue      = 8192                   // frames that wait for a node
	maxQueueBytes = 8 << 20                // of them; more of either end the connection
	drainTime     = 250 * time.Millisecond // for a reader to read a large frame
	answerTime    = 10 * time.Second       // for it to say so, if it is asked
	minRedial     = time.Second
	maxRedial     = time.Minute
	dialsAMinute  = 10 // to addresses that others tell of
	maxIncoming   = 256
	lingerTime    = time.Second // at the end, for what waits to be written, and for the other to close
)

// A conn is a connection with an old node: one goroutine reads, one writes.
type conn struct {
	n     *Node
	s     *session
	pipe  pipe
	addrs []string      // that lead to it
	ready chan struct{} // closed when the other has greeted
	gone  chan struct{} // closed when the connection is over
	room  chan struct{} // room for one: there is something to write

	pace  pace          // of the writer
	least int           // bytes of a frame that says nothing
	heard chan struct{} // room for one: it has answered, or the connection is over

	mu      sync.Mutex
	flow    flow
	queue   []parcel
	bytes   int
	answers int           // in the queue
	low     chan struct{} // closed when there is room again, for those who wait for it
	why     error
}

// accept takes a connection that another node has dialled.
func (n *Node) accept(p pipe) {
	if n.take(p, "") == nil {
		p.Close()
	}
}

// take runs a connection. It is nil if there is no room for it, or the node is closed.
func (n *Node) take(p pipe, addr string) *conn {
	c := &conn{n: n, pipe: p, ready: make(chan struct{}), gone: make(chan struct{}), room: make(chan struct{}, 1), heard: make(chan struct{}, 1)}
	err := n.do(func(now time.Time) error {
		if addr == "" && len(n.conns) >= maxIncoming {
			return ErrFull
		}
		if addr != "" {
			c.addrs = []string{addr}
		}
		c.s = n.c.open(now, addr != "", p.remote())
		n.conns[c.s] = c
		n.wg.Go(c.read)
		n.wg.Go(c.write)
		return nil
	})
	if err != nil {
		return nil
	}
	return c
}

// read reads until the connection is over.
func (c *conn) read() {
	var err error
	for err == nil {
		limit := wire.MaxFrame
		select {
		case <-c.ready:
		default:
			limit = wire.MaxGreeting
		}
		var body []byte
		if body, err = c.pipe.read(limit); err == nil {
			err = c.n.do(func(now time.Time) error {
				c.s.receive(now, body)
				return nil
			})
		}
	}
	c.end(err)
	c.pipe.Close()
	c.n.mu.Lock()
	delete(c.n.conns, c.s)
	c.n.mu.Unlock()
	c.n.do(func(now time.Time) error {
		why := c.reason()
		if !errors.Is(why, ErrClosed) {
			c.n.log.Info("old node is gone", "remote", c.pipe.remote(), "id", c.s.peer.ID, "err", why)
		}
		if !c.s.greeted {
			c.n.c.tell(Event{Kind: EventRefused, Peer: c.n.c.peer(c.s), Err: why})
		}
		c.n.c.closed(now, c.s, why)
		return nil
	})
	close(c.gone)
}

// end has the connection end for a reason, if it has not for another.
func (c *conn) end(why error) {
	if c.over(why) {
		c.pipe.Close() // which ends reading
		c.signal()
	}
}

// finish ends it when all is written that waits, and the other has closed.
func (c *conn) finish(why error) {
	if c.over(why) {
		time.AfterFunc(lingerTime, func() { c.pipe.Close() })
		c.signal()
	}
}

// over notes why the connection ends, and tells whether that is news.
func (c *conn) over(why error) bool {
	if c == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	news := c.why == nil
	if news {
		c.why = why
	}
	return news
}

func (c *conn) reason() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.why
}

func (c *conn) signal() {
	for _, ch := range []chan struct{}{c.room, c.heard} {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

// answered notes that the other has read what it was sent before it was asked.
func (c *conn) answered() {
	if c == nil {
		return // it is over
	}
	c.mu.Lock()
	c.flow.answered()
	c.mu.Unlock()
	c.signal()
}

// await waits until the other has answered all questions but some. Meanwhile it is answered
// itself: if both waited for each other, neither would go on.
func (c *conn) await(but int) error {
	patience := time.NewTimer(answerTime)
	defer patience.Stop()
	for {
		c.mu.Lock()
		enough := c.flow.asked <= but || c.why != nil
		var p parcel
		if !enough && c.answers > 0 {
			i := slices.IndexFunc(c.queue, func(p parcel) bool { return p.answer })
			p = c.dequeue(i)
			c.flow.wrote(4 + len(p.body))
		}
		c.mu.Unlock()
		if enough {
			return nil
		}
		if p.body != nil {
			if err := c.writePaced(p.body); err != nil {
				return err
			}
			continue
		}
		select {
		case <-c.heard:
		case <-patience.C:
			c.mu.Lock()
			c.flow.asked = 0 // it never will
			c.mu.Unlock()
		}
	}
}

// send queues a frame. Who does not read is disconnected.
func (c *conn) send(p parcel) {
	if c == nil {
		return // it is over
	}
	c.mu.Lock()
	full := len(c.queue) >= maxQueue || len(c.queue) > 0 && c.bytes+len(p.body) > maxQueueBytes
	if !full {
		c.queue = append(c.queue, p)
		c.bytes += len(p.body)
		if p.answer {
			c.answers++
		}
	}
	c.mu.Unlock()
	if full {
		c.end(ErrSlow)
		return
	}
	c.signal()
}

// dequeue takes a frame out of the queue. The caller holds mu.
func (c *conn) dequeue(i int) parcel {
	p := c.queue[i]
	copy(c.queue[1:i+1], c.queue[:i])
	c.queue[0] = parcel{}
	c.queue = c.queue[1:]
	c.bytes -= len(p.body)
	if p.answer {
		c.answers--
	}
	return p
}

// crowded tells whether those who can wait should. The caller holds mu.
func (c *conn) crowded() bool {
	return c.why == nil && (len(c.queue) > maxQueue/2 || c.bytes > maxQueueBytes/2)
}

// room waits until all nodes have read so much that there is room for more. One that reads
// nothing is disconnected after a while.
func (n *Node) room(ctx context.Context) error {
	n.mu.Lock()
	conns := slices.Collect(maps.Values(n.conns))
	n.mu.Unlock()
	for _, c := range conns {
		c.mu.Lock()
		if !c.crowded() {
			c.mu.Unlock()
			continue
		}
		if c.low == nil {
			c.low = make(chan struct{})
		}
		low := c.low
		c.mu.Unlock()
		select {
		case <-low:
		case <-c.gone:
		case <-ctx.Done():
			return ctx.Err()
		case <-n.ctx.Done():
			return ErrClosed
		}
	}
	return nil
}

// write writes each frame by itself.
func (c *conn) write() {
	for {
		c.mu.Lock()
		over := c.why != nil
		var p parcel
		if len(c.queue) > 0 {
			p = c.dequeue(0)
		}
		if c.low != nil && (over || !c.crowded()) {
			close(c.low)
			c.low = nil
		}
		c.mu.Unlock()
		switch {
		case over && p.body == nil:
			if c.pipe.closeWrite() != nil {
				c.pipe.Close()
			}
			return
		case p.body == nil && !c.more():
			<-c.room
		case p.body == nil:
		default:
			if err := c.writeParcel(p); err != nil {
				c.end(fmt.Errorf("write: %w", err))
				c.discard()
			}
		}
	}
}

// writeParcel writes a frame so that the other can read it, and what comes behind it.
func (c *conn) writeParcel(p parcel) error {
	if !p.paced {
		return c.pipe.write(p.body)
	}
	if err := c.drain(); err != nil {
		return err
	}
	if err := c.await(maxAsked - 1); err != nil {
		return err
	}
	if p.asks {
		return c.ask(p.body)
	}
	if err := c.writePaced(p.body); err != nil {
		return err
	}
	c.mu.Lock()
	ask := c.flow.wrote(4 + len(p.body))
	c.mu.Unlock()
	if !ask {
		return nil
	}
	return c.ask(c.request())
}

// request is a question for the other's peers.
func (c *conn) request() []byte { return c.n.remark(wire.Request, []byte("*"), true) }

// ask writes what the other answers. The answer may be there before the write returns.
func (c *conn) ask(body []byte) error {
	c.mu.Lock()
	c.flow.ask()
	c.mu.Unlock()
	return c.writePaced(body)
}

// filler is a message that says nothing, of a size as it travels. In 0.5 the ID of a message
// has a digit more or less, depending on what it says.
func (c *conn) filler(size int) (body []byte) {
	for with := range 256 {
		if body = c.n.blank(size-c.least+1, byte(with)); 4+len(body) == size {
			break
		}
	}
	return body
}

// writePaced writes a frame where it may end.
func (c *conn) writePaced(body []byte) error {
	now, size := time.Now(), 4+len(body)
	if c.least == 0 {
		c.least = 4 + len(c.n.blank(1, 0))
	}
	filler, ok := c.pace.filler(now, size, c.least)
	if !ok {
		time.Sleep(drainTime)
		c.pace.restart()
	}
	if filler > 0 {
		blank := c.filler(filler)
		if err := c.pipe.write(blank); err != nil {
			return err
		}
		c.pace.wrote(now, 4+len(blank))
	}
	if err := c.pipe.write(body); err != nil {
		return err
	}
	c.pace.wrote(now, size)
	if alone(size) {
		time.Sleep(drainTime)
		c.pace.restart()
	}
	return nil
}

// drain waits until the other has read all, if that makes it easier to write more.
func (c *conn) drain() error {
	if !c.pace.crowded() {
		return nil
	}
	c.mu.Lock()
	ask := c.flow.frames > 0
	c.mu.Unlock()
	if ask {
		if err := c.ask(c.request()); err != nil {
			return err
		}
	}
	if err := c.await(0); err != nil {
		return err
	}
	c.mu.Lock()
	more := c.flow.frames > 0
	c.mu.Unlock()
	if more { // an answer, behind the question
		time.Sleep(drainTime)
	}
	c.pace.restart()
	return nil
}

// blank is a message that says nothing, with some bytes too many: a ping, which no old
// node answers.
func (n *Node) blank(size int, with byte) []byte {
	return n.remark(wire.Ping, bytes.Repeat([]byte{with}, size), false)
}

// remark is a message to one node, of a size that fits among others if it is aligned.
func (n *Node) remark(sub wire.Flag, packet []byte, aligned bool) []byte {
	m := wire.New(n.c.version, wire.Whisper, sub, packet)
	m.Sender, m.Time, m.Aligned = n.c.id, time.Now().Unix(), aligned
	body, err := wire.Encode(m)
	if err != nil {
		panic(err) // of bytes, which cannot fail
	}
	return body
}

// discard drops what nobody will read.
func (c *conn) discard() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue, c.bytes, c.answers = nil, 0, 0
}

// more has the core tell what it has not told yet, since it was too much at once.
func (c *conn) more() bool {
	told := false
	c.n.do(func(now time.Time) error {
		told = c.s.more(now)
		return nil
	})
	return told
}

// connect dials an address and keeps it connected.
func (n *Node) connect(ctx context.Context, addr string) error {
	c, err := n.dialAndGreet(ctx, addr)
	if err != nil {
		return err
	}
	keeping, end := context.WithCancel(n.ctx)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		end()
		return ErrClosed
	}
	if n.kept[addr] != nil {
		end()
		return nil
	}
	n.kept[addr] = end
	n.wg.Go(func() { n.keep(keeping, c, addr) })
	return nil
}

// dialAndGreet dials an address, and waits until the other has said who it is.
func (n *Node) dialAndGreet(ctx context.Context, addr string) (*conn, error) {
	if _, err := parseAddr(addr); err != nil {
		return nil, err
	}
	n.mu.Lock()
	there := n.adopt(n.c.at(addr), addr)
	n.mu.Unlock()
	if there != nil {
		return there, nil
	}
	ctx, cancel := context.WithTimeout(ctx, dialTime+greetTime)
	defer cancel()
	defer context.AfterFunc(n.ctx, cancel)()
	p, err := dial(ctx, n.opts.Transport, addr)
	if err != nil {
		return nil, err
	}
	c := n.take(p, addr)
	if c == nil {
		p.Close()
		return nil, ErrClosed
	}
	select {
	case <-c.ready:
		return c, nil
	case <-c.gone:
		return n.instead(c, addr)
	case <-ctx.Done():
		c.end(ctx.Err())
		return nil, ctx.Err()
	}
}

// instead is the connection that stays of two with one node, if this one has ended for it.
func (n *Node) instead(c *conn, addr string) (*conn, error) {
	why := c.reason()
	if !errors.Is(why, ErrTwice) {
		return nil, why
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if other := n.adopt(n.c.table[c.s.peer.ID], addr); other != nil {
		return other, nil
	}
	return nil, why // it is lost
}

// adopt has an address lead to the connection of a session, if there is one. The caller
// holds mu.
func (n *Node) adopt(s *session, addr string) *conn {
	c := n.conns[s]
	if c != nil && !slices.Contains(c.addrs, addr) {
		c.addrs = append(c.addrs, addr)
	}
	return c
}

// keep dials again when a connection is lost.
func (n *Node) keep(ctx context.Context, c *conn, addr string) {
	pause := minRedial
	for {
		if c != nil {
			select {
			case <-c.gone:
			case <-ctx.Done():
				return
			}
			if c, _ = n.instead(c, addr); c != nil {
				continue
			}
			pause = minRedial
		}
		select {
		case <-time.After(pause/2 + rand.N(pause)):
		case <-ctx.Done():
			return
		}
		var err error
		if c, err = n.dialAndGreet(ctx, addr); err != nil {
			pause = min(2*pause, maxRedial)
			n.log.Info("cannot connect again", "addr", addr, "err", err)
		}
	}
}

// A dialer bounds how often addresses are dialled that others tell of.
type dialer struct {
	busy   map[string]bool
	minute time.Time
	count  int
}

// dialListed dials a node that another has told of. The caller holds mu.
func (n *Node) dialListed(p wire.Listed) {
	addr, now := p.Addr.String(), time.Now()
	if now.Sub(n.dials.minute) > time.Minute {
		n.dials.minute, n.dials.count = now, 0
	}
	if n.dials.busy[addr] {
		return
	}
	if n.dials.count++; n.dials.count > dialsAMinute {
		n.c.drop(DropDial)
		return
	}
	if n.dials.busy == nil {
		n.dials.busy = map[string]bool{}
	}
	n.dials.busy[addr] = true
	n.wg.Go(func() {
		if _, err := n.dialAndGreet(n.ctx, addr); err != nil {
			n.log.Info("cannot connect", "addr", addr, "err", err)
		}
		n.mu.Lock()
		delete(n.dials.busy, addr)
		n.mu.Unlock()
	})
}
