package compat

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
	"github.com/p2p-today/go2p/internal/fanout"
)

// A Node is a node of an old network. Its methods may be called concurrently. It is made
// by Open and lives until Close.
type Node struct {
	opts     Options
	log      *slog.Logger
	listener net.Listener // nil if nobody is accepted
	ctx      context.Context
	cancel   context.CancelFunc
	wg       sync.WaitGroup
	wake     chan struct{} // room for one
	turns    atomic.Uint64 // of the loop

	messages fanout.Feed[Message]
	changes  fanout.Feed[Change]
	events   fanout.Feed[Event]

	mu     sync.Mutex
	c      *citizen
	conns  map[*session]*conn
	kept   map[string]context.CancelFunc // addresses that Connect was given, and what ends connecting
	dials  dialer
	closed bool
}

// Open makes a node, which accepts others if Options.Listen says so. The context bounds
// only Open.
func Open(ctx context.Context, opts Options) (*Node, error) {
	return openNode(ctx, opts, func(*Node) {})
}

// openNode has somebody see the node before anything happens to it.
func openNode(ctx context.Context, opts Options, prepare func(*Node)) (*Node, error) {
	v, err := opts.complete()
	if err != nil {
		return nil, fmt.Errorf("compat: %w", err)
	}
	n := &Node{
		opts: opts, log: opts.Logger, wake: make(chan struct{}, 1),
		conns: map[*session]*conn{}, kept: map[string]context.CancelFunc{},
	}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	var run func() error
	var addr wire.Addr
	if opts.Listen != "" {
		if n.listener, run, err = listen(opts.Transport, opts.Listen, n.accept); err != nil {
			return nil, fmt.Errorf("compat: %w", err)
		}
		addr, _ = parseAddr(n.listener.Addr().String())
		if net.ParseIP(addr.Host).IsUnspecified() {
			addr = wire.Addr{} // others cannot use it
		}
	}
	if opts.Advertise != "" {
		if addr, err = parseAddr(opts.Advertise); err != nil {
			n.shut()
			return nil, fmt.Errorf("compat: address to advertise: %w", err)
		}
	}
	n.c = newCitizen(v, opts, addr, rand.Text())
	prepare(n)
	n.wg.Go(n.loop)
	if run != nil {
		n.wg.Go(func() {
			if err := run(); n.ctx.Err() == nil {
				n.log.Error("accepts nobody any more", "err", err)
			}
		})
	}
	return n, nil
}

// shut closes the listener.
func (n *Node) shut() {
	n.cancel()
	if n.listener != nil {
		n.listener.Close()
	}
}

// Close ends the node and all its connections. What waits for others is written, and they
// are told, for a second at most.
func (n *Node) Close() error {
	n.shut()
	n.do(func(now time.Time) error {
		for s := range n.conns {
			s.shut(now, ErrClosed)
		}
		return nil
	})
	n.mu.Lock()
	conns := slices.Collect(maps.Values(n.conns))
	n.mu.Unlock()
	for _, c := range conns {
		<-c.gone
	}
	n.mu.Lock()
	n.closed = true
	for _, c := range n.conns { // that came meanwhile
		c.end(ErrClosed)
	}
	n.mu.Unlock()
	n.wg.Wait()
	n.messages.Close()
	n.changes.Close()
	n.events.Close()
	return nil
}

// ID is the ID of this node.
func (n *Node) ID() string { return n.c.id }

// Addr is where it listens, or empty.
func (n *Node) Addr() string {
	if n.listener == nil {
		return ""
	}
	return n.listener.Addr().String()
}

// loop does what is due.
func (n *Node) loop() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-n.ctx.Done():
			return
		case <-n.wake:
		case <-timer.C:
		}
		n.turns.Add(1)
		var next time.Time
		n.act(func(now time.Time) error {
			n.c.advance(now)
			next = n.c.deadline()
			return nil
		})
		if next.IsZero() {
			next = time.Now().Add(time.Hour)
		}
		timer.Reset(time.Until(next))
	}
}

// do has the core do something, after which something else may be due.
func (n *Node) do(f func(now time.Time) error) error {
	defer func() {
		select {
		case n.wake <- struct{}{}:
		default:
		}
	}()
	return n.act(f)
}

// act has the core do something, and then does what it wants done.
func (n *Node) act(f func(now time.Time) error) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return ErrClosed
	}
	err := f(time.Now())
	out := n.c.out
	n.c.out = effects{}
	for _, p := range out.frames {
		n.conns[p.to].send(p)
	}
	for _, s := range out.entered {
		close(n.conns[s].ready)
	}
	for _, s := range out.heard {
		n.conns[s].answered()
	}
	for _, l := range out.found {
		close(l.done)
	}
	for _, s := range out.shut {
		n.conns[s.s].finish(s.why)
	}
	for _, p := range out.dials {
		n.dialListed(p)
	}
	for _, ev := range out.events {
		if n.opts.tap != nil {
			n.opts.tap(ev)
		}
		switch ev := ev.(type) {
		case Message:
			n.messages.Publish(ev)
		case Change:
			n.changes.Publish(ev)
		case Event:
			n.events.Publish(ev)
		}
	}
	return err
}

// Connect connects to a node at an address, host:port, and returns when it has said who it
// is, or is connected already. If it is lost later, it is dialled again, after a second at
// first and a minute at most, until Disconnect. Errors: a *RefusedError if it is of another
// network, ErrWire if it is no old node of this version, ErrSilent, ErrSelf, ErrTwice if it
// was connected already and is lost at the same moment, ErrClosed, the context's and those
// of dialling.
func (n *Node) Connect(ctx context.Context, addr string) error {
	if err := n.connect(ctx, addr); err != nil {
		return fmt.Errorf("compat: %s: %w", addr, err)
	}
	return nil
}

// Disconnect closes the connection with a node. It is no error if there is none.
func (n *Node) Disconnect(id string) error {
	return n.do(func(now time.Time) error {
		if s := n.c.table[id]; s != nil {
			for _, addr := range n.conns[s].addrs {
				if end := n.kept[addr]; end != nil {
					end()
					delete(n.kept, addr)
				}
			}
			s.shut(now, errLeft)
		}
		return nil
	})
}

var errLeft = errors.New("disconnected by this node")

// Peers are the nodes that are connected, by ID.
func (n *Node) Peers() []Peer {
	n.mu.Lock()
	defer n.mu.Unlock()
	var list []Peer
	for _, s := range n.c.sessions() {
		list = append(list, n.c.peer(s))
	}
	return list
}

// Dropped counts what was not passed on or taken, by reason.
func (n *Node) Dropped() map[Drop]uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	counts := map[Drop]uint64{}
	for why, count := range n.c.dropped {
		counts[why] = count
	}
	return counts
}

// Send sends a message to all nodes of the network, when those that are connected have room
// for it. It is no error if there are none.
// In 0.4 and 0.5 packets are text or bytes. Old nodes take equal messages within a second
// for one; of several, later ones get later times.
func (n *Node) Send(ctx context.Context, packets ...any) error {
	args, err := fromGo(n.c.version, packets)
	if err == nil {
		err = n.room(ctx)
	}
	if err != nil {
		return fmt.Errorf("compat: send: %w", err)
	}
	return n.do(func(now time.Time) error {
		_, err := n.c.broadcast(now, wire.Broadcast, args...)
		return err
	})
}

// Whisper sends a message to one node. If it is not connected, others are asked where it
// is, and it is dialled; nobody tells whether that worked. Errors: ErrNoPeers, ErrFull,
// ErrValue, ErrClosed, the context's.
func (n *Node) Whisper(ctx context.Context, to string, packets ...any) error {
	args, err := fromGo(n.c.version, packets)
	if err == nil {
		err = n.room(ctx)
	}
	if err != nil {
		return fmt.Errorf("compat: whisper: %w", err)
	}
	return n.do(func(now time.Time) error {
		return n.c.whisper(now, to, wire.New(n.c.version, wire.Whisper, wire.Whisper, args...))
	})
}

// Reply whispers to the sender of a message.
func (n *Node) Reply(ctx context.Context, m Message, packets ...any) error {
	return n.Whisper(ctx, m.From, packets...)
}

// Messages yields what others send from the call on, until the context ends, the node is
// closed (the last error is then ErrClosed) or the loop is left. A loop that is more than
// 1024 messages behind ends with an error. The sequence can be ranged over once.
func (n *Node) Messages(ctx context.Context) iter.Seq2[Message, error] {
	return follow(&n.messages, ctx)
}

// Events yields what happens to connections and the table, as Messages does.
func (n *Node) Events(ctx context.Context) iter.Seq2[Event, error] { return follow(&n.events, ctx) }

func follow[T any](f *fanout.Feed[T], ctx context.Context) iter.Seq2[T, error] {
	items := f.Follow(ctx, func(T) bool { return true })
	return func(yield func(T, error) bool) {
		for item, err := range items {
			if errors.Is(err, fanout.ErrClosed) {
				err = ErrClosed
			}
			if !yield(item, err) {
				return
			}
		}
	}
}

// AwaitPeers waits until a node is connected, or the context ends.
func (n *Node) AwaitPeers(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	events := n.Events(ctx)
	if len(n.Peers()) > 0 {
		return nil
	}
	for ev, err := range events {
		if err != nil {
			return err
		}
		if ev.Kind == EventConnect {
			return nil
		}
	}
	return ctx.Err()
}

// sortedKeys are the keys of a map.
func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
