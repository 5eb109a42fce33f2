package chord

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/p2p-today/go2p/internal/frame"
	"github.com/p2p-today/go2p/mesh"

	"github.com/p2p-today/go2p/chord/internal/wire"
)

// Protocol is what peers ask each other over. Who opens a stream asks, many questions at
// a time, and the stream stays open.
const Protocol protocol.ID = "/go2p/chord/1.0.0"

const (
	maxUnsent = 4 << 20 // bytes that wait for a stream; more wait for room
	maxAsked  = 1024    // questions of one stream that wait for their answers, at its server
	writeTime = 10 * time.Second
	askTime   = 5 * time.Second // for an answer
)

// A transport carries questions to other peers. Its errors say that there was no answer.
type transport interface {
	ask(ctx context.Context, to peer.ID, q *wire.Question) (*wire.Reply, error)
	misbehaved(p peer.ID) // it has answered what no honest peer does
}

// links are the streams on which this peer asks others, one for each.
type links struct {
	mesh  *mesh.Service
	ctx   context.Context
	wg    sync.WaitGroup
	greet func(to peer.ID, ask func(*wire.Question) (*wire.Reply, error)) error // the first question of each

	mu    sync.Mutex
	links map[peer.ID]*link
}

// A link is such a stream. It is made by the first who asks, for whom others wait.
type link struct {
	ready  chan struct{} // closed when it is open, or has failed
	stream network.Stream
	out    *outbox

	mu      sync.Mutex
	err     error // why it is of no use any more
	last    uint64
	waiting map[uint64]chan *wire.Reply
}

// ask asks a peer, and waits for the answer.
func (ls *links) ask(ctx context.Context, to peer.ID, q *wire.Question) (*wire.Reply, error) {
	l, err := ls.link(ctx, to)
	if err != nil {
		return nil, err
	}
	return l.ask(ctx, q)
}

func (ls *links) misbehaved(p peer.ID) { ls.mesh.ReportMisbehaviour(p, errForm) }

func (l *link) ask(ctx context.Context, q *wire.Question) (*wire.Reply, error) {
	answer := make(chan *wire.Reply, 1)
	l.mu.Lock()
	if l.err != nil {
		l.mu.Unlock()
		return nil, l.err
	}
	l.last++
	id := l.last
	l.waiting[id] = answer
	l.mu.Unlock()
	err := l.out.send(q.Append(nil, id, time.Now()))
	if err == nil {
		select {
		case a := <-answer:
			if a != nil {
				return a, nil
			}
			err = l.why()
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	l.mu.Lock()
	delete(l.waiting, id)
	l.mu.Unlock()
	return nil, err
}

func (l *link) why() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// link returns the stream to a peer, which is opened if there is none.
func (ls *links) link(ctx context.Context, to peer.ID) (*link, error) {
	ls.mu.Lock()
	l := ls.links[to]
	if l == nil {
		l = &link{ready: make(chan struct{}), waiting: map[uint64]chan *wire.Reply{}}
		ls.links[to] = l
		ls.wg.Go(func() { ls.run(l, to) })
	}
	ls.mu.Unlock()
	select {
	case <-l.ready:
		return l, l.why()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// run opens a link and reads the answers until the stream ends.
func (ls *links) run(l *link, to peer.ID) {
	ctx, cancel := context.WithTimeout(ls.ctx, askTime)
	defer cancel()
	err := ls.mesh.Reach(ctx, to)
	if err == nil {
		l.stream, err = ls.mesh.NewStream(ctx, to, Protocol)
	}
	if err != nil {
		ls.end(l, to, err)
		close(l.ready)
		return
	}
	l.out = newOutbox(l.stream)
	defer context.AfterFunc(ls.ctx, func() { l.stream.Reset() })()
	ls.wg.Go(func() {
		defer close(l.ready)
		if err := ls.greet(to, func(q *wire.Question) (*wire.Reply, error) { return l.ask(ctx, q) }); err != nil {
			ls.end(l, to, err)
			l.stream.Reset()
		}
	})
	in := frame.NewReader(l.stream, wire.MaxMessage)
	for err == nil {
		err = l.receive(in)
	}
	if errors.Is(err, errForm) || errors.Is(err, frame.ErrTooLarge) {
		ls.mesh.ReportMisbehaviour(to, err)
	}
	l.stream.Reset()
	l.out.fail(err)
	ls.end(l, to, err)
	<-l.ready
}

// errForm says that a peer has sent what no honest one sends.
var errForm = errors.New("wrong form")

func (l *link) receive(in *frame.Reader) error {
	body, err := in.Next()
	if err != nil {
		return err
	}
	id, a, err := wire.ScanReply(body, time.Now())
	if err != nil {
		return fmt.Errorf("%w: %w", errForm, err)
	}
	l.mu.Lock()
	answer := l.waiting[id]
	delete(l.waiting, id)
	l.mu.Unlock()
	if answer != nil { // else nobody waits any more
		answer <- a
	}
	return nil
}

// end makes room for another link, and tells who waits for answers.
func (ls *links) end(l *link, to peer.ID, err error) {
	ls.mu.Lock()
	if ls.links[to] == l {
		delete(ls.links, to)
	}
	ls.mu.Unlock()
	l.mu.Lock()
	if l.err == nil {
		l.err = fmt.Errorf("link to %s: %w", to, err)
	}
	waiting := l.waiting
	l.waiting = map[uint64]chan *wire.Reply{}
	l.mu.Unlock()
	for _, answer := range waiting {
		answer <- nil
	}
}

// An outbox writes messages to a stream: at once when idle, and those that come meanwhile
// together.
type outbox struct {
	stream network.Stream

	mu    sync.Mutex
	room  sync.Cond
	buf   []byte
	spare []byte
	busy  bool
	err   error
}

func newOutbox(s network.Stream) *outbox {
	o := &outbox{stream: s}
	o.room.L = &o.mu
	return o
}

// send has a message written, by this caller or by the one who writes just now. It waits
// for room. An error of the stream is told to later ones.
func (o *outbox) send(body []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.buf) > maxUnsent && o.err == nil {
		o.room.Wait()
	}
	if o.err != nil {
		return o.err
	}
	o.buf = frame.Append(o.buf, body)
	if o.busy {
		return nil
	}
	o.busy = true
	for len(o.buf) > 0 && o.err == nil {
		out := o.buf
		o.buf = o.spare[:0]
		o.mu.Unlock()
		o.stream.SetWriteDeadline(time.Now().Add(writeTime))
		_, err := o.stream.Write(out)
		o.mu.Lock()
		o.spare = nil
		if cap(out) <= 1<<16 {
			o.spare = out
		}
		if err != nil {
			o.err = err
			o.stream.Reset()
		}
		o.room.Broadcast()
	}
	o.busy = false
	return o.err
}

// fail ends the outbox.
func (o *outbox) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil {
		o.err = err
	}
	o.room.Broadcast()
}
