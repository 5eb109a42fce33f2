package compat

import (
	"time"

	"github.com/p2p-today/go2p/compat/internal/legacy"
	"github.com/p2p-today/go2p/compat/internal/wire"
)

const lingerTime = time.Second // at the end, for what waits to be written, and for the other to close

// A conn is a connection with an old node. One goroutine reads from its pipe, and one writes what its outbox holds.
type conn struct {
	session *legacy.Session
	pipe    pipe
	out     *outbox
	ready   chan struct{} // closed when the other has greeted
	gone    chan struct{} // closed when the connection is over
	addrs   []string      // that lead to it; the lock of connections guards them
}

func newConn(p pipe) *conn {
	return &conn{pipe: p, out: newOutbox(), ready: make(chan struct{}), gone: make(chan struct{})}
}

// read hands frames on until the connection is over, and returns why it is.
func (c *conn) read(receive func(body []byte) error) (err error) {
	for err == nil {
		limit := wire.MaxFrame
		select {
		case <-c.ready:
		default:
			limit = wire.MaxGreeting
		}
		var body []byte
		if body, err = c.pipe.read(limit); err == nil {
			err = receive(body)
		}
	}
	c.end(err)
	c.pipe.Close()
	return c.out.reason()
}

// send queues a frame. A node that does not read is disconnected.
func (c *conn) send(f legacy.Frame) {
	if !c.out.put(f) {
		c.end(ErrSlow)
	}
}

// end ends the connection at once, unless it ends for another reason.
func (c *conn) end(why error) {
	if c.out.end(why) {
		c.pipe.Close() // which ends reading
		c.out.signal()
	}
}

// finish ends the connection when its outbox is empty and the other node has closed, or after a second.
func (c *conn) finish(why error) {
	if c.out.end(why) {
		time.AfterFunc(lingerTime, func() { c.pipe.Close() })
		c.out.signal()
	}
}
