package compat

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"net"
	"time"

	"github.com/p2p-today/go2p/compat/internal/legacy"
	"github.com/p2p-today/go2p/compat/internal/wire"
	"github.com/p2p-today/go2p/internal/lifecycle"
)

// A MeshNode is a node of an old network, of any kind as far as all kinds do the same. Its methods may be called
// concurrently. OpenMesh makes one, and it lives until Close.
type MeshNode struct {
	id       string
	network  legacy.Network
	listener net.Listener // nil if nobody is accepted
	life     *lifecycle.Group
	engine   *engine
	conns    *connections
	dialer   *dialer
	news     *publisher
}

// OpenMesh makes a node of a mesh network, which accepts others if Options.Listen says so. The context bounds only
// OpenMesh. Errors: ErrKind if Options.Kind is another, and what is wrong with the options.
func OpenMesh(ctx context.Context, opts Options) (*MeshNode, error) {
	return openNode(opts, Mesh, "", legacy.NewNode, nil)
}

// OpenGhost makes a node under the ID of an author, in a network of any kind: others reply to it, and it says nothing
// but who it is. It accepts nobody and dials nobody by itself. Errors: those of OpenMesh.
func OpenGhost(ctx context.Context, opts Options, id string) (*MeshNode, error) {
	opts.Listen, opts.Advertise, opts.Autodial = "", "", false
	return openNode(opts, opts.Kind, id, legacy.NewNode, nil)
}

// openNode makes a node with a core of some kind. Found, if it is not nil, is called with lookups that are over.
func openNode(
	opts Options, kind Kind, ghost string, newCore func(legacy.Config) *legacy.Node, found func([]*legacy.Lookup),
) (*MeshNode, error) {
	if opts.Kind == "" {
		opts.Kind = kind
	}
	network, err := opts.Complete()
	if err == nil && opts.Kind != kind {
		err = ErrKind
	}
	if err != nil {
		return nil, fmt.Errorf("compat: %w", err)
	}
	n := &MeshNode{network: network, life: lifecycle.New(), news: newPublisher(opts.Observer)}
	addr, serve, err := n.listen(&opts)
	if err != nil {
		return nil, fmt.Errorf("compat: %w", err)
	}
	core := newCore(legacy.Config{
		Network: network, Addr: addr, Salt: rand.Text(), Ghost: ghost,
		Autodial: opts.Autodial, Compression: opts.Compression, HelloDelay: opts.HelloDelay,
	})
	n.id = core.ID()
	n.engine = newEngine(core)
	n.conns = &connections{engine: n.engine, life: n.life, log: opts.Logger, conns: map[*legacy.Session]*conn{}}
	n.dialer = &dialer{
		engine: n.engine, conns: n.conns, life: n.life, log: opts.Logger, transport: opts.Transport,
		kept: map[string]context.CancelFunc{}, busy: map[string]bool{},
	}
	n.engine.perform = func(out legacy.Effects) {
		n.conns.perform(out)
		if found != nil {
			found(out.Found)
		}
		for _, p := range out.Dials {
			if !n.dialer.try(p.Addr.String()) {
				core.Drop(legacy.DropDial)
			}
		}
		n.news.publish(out)
	}
	n.life.Go(func() { n.engine.run(n.life.Context()) })
	if serve != nil {
		n.life.Go(func() {
			if err := serve(); n.life.Context().Err() == nil {
				opts.Logger.Error("accepts nobody any more", "err", err)
			}
		})
	}
	return n, nil
}

// listen opens the listener, if Options.Listen asks for one. It returns the address that others are told, and what
// accepts them.
func (n *MeshNode) listen(opts *Options) (addr wire.Addr, serve func() error, err error) {
	if opts.Advertise != "" {
		if addr, err = ParseAddr(opts.Advertise); err != nil {
			return addr, nil, fmt.Errorf("address to advertise: %w", err)
		}
	}
	if opts.Listen == "" {
		return addr, nil, nil
	}
	n.listener, serve, err = listenPipes(opts.Transport, opts.Listen, func(p pipe) { n.conns.take(p, "") })
	if err != nil || opts.Advertise != "" {
		return addr, serve, err
	}
	addr, _ = ParseAddr(n.listener.Addr().String())
	if net.ParseIP(addr.Host).IsUnspecified() {
		addr = wire.Addr{} // others cannot use it
	}
	return addr, serve, nil
}

// Close ends the node and all its connections. It writes what waits for other nodes, and tells them, for a second at
// most.
func (n *MeshNode) Close() error {
	n.engine.do(func(now time.Time) (legacy.Effects, error) {
		n.life.Cancel() // so that no connection comes any more
		return n.engine.core.ShutAll(now, ErrClosed), nil
	})
	if n.listener != nil {
		n.listener.Close()
	}
	for _, c := range n.conns.all() {
		<-c.gone
	}
	n.engine.close()
	n.life.Wait()
	n.news.close()
	return nil
}

// ID returns the ID of this node.
func (n *MeshNode) ID() string { return n.id }

// Addr returns where it listens, or nothing.
func (n *MeshNode) Addr() string {
	if n.listener == nil {
		return ""
	}
	return n.listener.Addr().String()
}

// Connect connects to a node at an address, host:port, and returns when it has said who it is, or is connected
// already. A connection that is lost later is dialled again, after a second at first and a minute at most, until
// Disconnect. Errors: a *RefusedError if the node is of another network, ErrWire if it is no old node of this version,
// ErrSilent, ErrSelf, ErrTwice if it was connected already and is lost at the same moment, ErrClosed, the context's
// and those of dialling.
func (n *MeshNode) Connect(ctx context.Context, addr string) error {
	if err := n.dialer.keep(ctx, addr); err != nil {
		return fmt.Errorf("compat: %s: %w", addr, err)
	}
	return nil
}

var errLeft = errors.New("disconnected by this node")

// Disconnect closes the connection with a node. It is no error if there is none.
func (n *MeshNode) Disconnect(id string) error {
	return n.engine.do(func(now time.Time) (legacy.Effects, error) {
		s := n.engine.core.Session(id)
		if s == nil {
			return legacy.Effects{}, nil
		}
		n.dialer.forget(n.conns.addrs(s))
		return n.engine.core.Shut(now, s, errLeft), nil
	})
}

// Peers returns the nodes that are connected, by ID.
func (n *MeshNode) Peers() (list []Peer) {
	n.engine.readClosed(func() { list = n.engine.core.Peers() })
	return list
}

// Dropped counts what was not passed on or taken, by reason.
func (n *MeshNode) Dropped() map[Drop]uint64 {
	var drops legacy.Drops
	n.engine.readClosed(func() { drops = n.engine.core.Dropped() })
	return drops.Map()
}

// Send sends a message to all nodes of the network, when the connected ones have room for it. It is no error if there
// are none. In 0.4 and 0.5 packets are text or bytes. Old nodes take equal messages within a second for one, so that
// later ones get later times. Errors: ErrValue, ErrTooLarge, ErrClosed, the context's.
func (n *MeshNode) Send(ctx context.Context, packets ...any) error {
	args, err := legacy.FromGo(n.network.Version, packets)
	if err == nil {
		err = n.awaitRoom(ctx)
	}
	if err != nil {
		return fmt.Errorf("compat: send: %w", err)
	}
	return n.engine.do(func(now time.Time) (legacy.Effects, error) { return n.engine.core.Broadcast(now, args) })
}

// Whisper sends a message to one node. If the node is not connected, others are asked where it is, and it is dialled;
// no node tells whether that worked. Errors: ErrNoPeers, ErrFull, ErrValue, ErrClosed, the context's.
func (n *MeshNode) Whisper(ctx context.Context, to string, packets ...any) error {
	args, err := legacy.FromGo(n.network.Version, packets)
	if err == nil {
		err = n.awaitRoom(ctx)
	}
	if err != nil {
		return fmt.Errorf("compat: whisper: %w", err)
	}
	return n.engine.do(func(now time.Time) (legacy.Effects, error) { return n.engine.core.Whisper(now, to, args) })
}

// Reply whispers to the sender of a message.
func (n *MeshNode) Reply(ctx context.Context, m Message, packets ...any) error {
	return n.Whisper(ctx, m.From, packets...)
}

// awaitRoom waits until all nodes have read so much that there is room for more. Errors: ErrClosed, the context's.
func (n *MeshNode) awaitRoom(ctx context.Context) error {
	if n.life.Sealed() {
		return ErrClosed
	}
	return n.conns.awaitRoom(ctx)
}

// Messages yields what others send from the call on, until the context ends, the node is closed (the last error is
// then ErrClosed) or the loop is left. A loop that is more than 1024 messages behind ends with an error. The sequence
// can be ranged over once.
func (n *MeshNode) Messages(ctx context.Context) iter.Seq2[Message, error] {
	return follow(ctx, &n.news.messages)
}

// Events yields what happens to connections and the table, as Messages does.
func (n *MeshNode) Events(ctx context.Context) iter.Seq2[Event, error] {
	return follow(ctx, &n.news.events)
}

// AwaitPeers waits until a node is connected, or the context ends.
func (n *MeshNode) AwaitPeers(ctx context.Context) error {
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
