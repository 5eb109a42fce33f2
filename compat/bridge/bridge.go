// Package bridge joins old networks of py2p and js2p with a native network, and with each other. [New] makes a
// [Bridge] on a mesh; [Bridge.Add] gives it a link with an old network, which compat.ParseURL can read from a URL.
//
// Messages cross as messages: an old node appears natively as legacy:<subnet>/<id>, and a native peer has a ghost in
// each old network, an ID that every bridge derives in the same way. Keys of an old dictionary follow those of the
// native dictionary and the other way round; so do those of tables. If both sides write a key without knowledge of
// each other, the native value stands.
//
// Any number of bridges may join the same networks. Each message and each key crosses once, and when one bridge ends,
// the others go on under the same ghosts. docs/legacy.md says what does not cross; [LinkStatus] counts it.
//
// Old networks prove nothing. Messages and keys of an old network are shown as unsigned, and cannot override a native
// lease.
package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/p2p-today/go2p/chord"
	"github.com/p2p-today/go2p/compat"
	"github.com/p2p-today/go2p/mesh"
	p2psync "github.com/p2p-today/go2p/sync"
)

// Options are the optional settings of New.
type Options struct {
	Sync   *p2psync.Dict // shared with old sync networks. Default: none is
	Chord  *chord.Table  // shared with old chord networks. Default: none is
	Logger *slog.Logger  // Default: silent
}

// A Bridge relays messages and keys of old networks to a native one and back, and from one old network to another. Its
// methods may be called concurrently. It lives until Close. The mesh, the dictionary and the table stay the caller's,
// and must be closed after it.
//
// Broadcasts cross once, however many bridges there are, and so do whispers and replies. Keys of an old dictionary
// belong to legacy:<subnet>/<id>, without a signature, and are leased like others. Keys of native peers are leased in
// the old network.
//
// A Bridge is a façade: its links own all state in old networks, and its router knows the ways to old nodes.
type Bridge struct {
	mesh     *mesh.Mesh
	opts     Options
	links    *links
	router   *router
	whispers *mesh.Handler
	stop     func()             // observing
	ctx      context.Context    // of the links
	cancel   context.CancelFunc // of ctx
}

// New returns a bridge without links.
func New(m *mesh.Mesh, opts *Options) *Bridge {
	b := &Bridge{mesh: m, links: newLinks()}
	if opts != nil {
		b.opts = *opts
	}
	if b.opts.Logger == nil {
		b.opts.Logger = slog.New(slog.DiscardHandler)
	}
	b.router = newRouter(m.ID(), b.links, b.opts.Logger)
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.whispers = m.Handle(b.router.handle)
	b.stop = m.Service("bridge").Observe(b.observe)
	return b
}

// observe gives a native broadcast to all links.
func (b *Bridge) observe(msg mesh.Message) {
	b.router.observe(msg)
	for _, l := range b.links.all() {
		l.messages.observe(msg)
	}
}

// Close ends all links. It returns nil.
func (b *Bridge) Close() error {
	links := b.links.close()
	b.whispers.Remove()
	b.stop()
	b.cancel()
	for _, l := range links {
		l.close()
	}
	return nil
}

// Add opens a node in an old network and connects it to the addresses, again and again until it works. The name must
// not be in use; Add makes one up if it is empty. The context bounds the call alone. Errors: ErrLinkName,
// compat.ErrKind if the bridge has no dictionary or table for a network that has one, compat.ErrClosed, and those of
// compat.OpenMesh.
func (b *Bridge) Add(ctx context.Context, name string, opts compat.Options, addrs ...string) (LinkStatus, error) {
	l, err := b.add(ctx, name, opts, addrs)
	if err != nil {
		return LinkStatus{}, fmt.Errorf("compat: bridge: %w", err)
	}
	return l.status(), nil
}

func (b *Bridge) add(ctx context.Context, name string, opts compat.Options, addrs []string) (*link, error) {
	if opts.Logger == nil {
		opts.Logger = b.opts.Logger
	}
	old, err := opts.Complete()
	if err != nil {
		return nil, err
	}
	for _, addr := range addrs {
		if _, err := compat.ParseAddr(addr); err != nil {
			return nil, fmt.Errorf("address %q: %w", addr, err)
		}
	}
	if opts.Kind == compat.Sync && b.opts.Sync == nil || opts.Kind == compat.Chord && b.opts.Chord == nil {
		return nil, fmt.Errorf("%w: the bridge has nothing to share with it", compat.ErrKind)
	}
	return b.links.add(name, fmt.Sprintf("%s-%s", opts.Kind, opts.Version), func(name string) (*link, error) {
		return openLink(ctx, b.ctx, linkConfig{
			name: name, opts: opts, network: newNetwork(old), addrs: addrs, mesh: b.mesh, dict: b.opts.Sync, table: b.opts.Chord,
			whisper: b.router.whisper, log: b.opts.Logger.With("link", name),
		})
	})
}

// Remove ends a link. Error: ErrNoLink.
func (b *Bridge) Remove(name string) error {
	l, err := b.links.remove(name)
	if err != nil {
		return fmt.Errorf("compat: bridge: %w", err)
	}
	l.close()
	return nil
}

// Links returns the status of each link, sorted by name.
func (b *Bridge) Links() (list []LinkStatus) {
	for _, l := range b.links.all() {
		list = append(list, l.status())
	}
	return list
}

// Whisper whispers to an old node, legacy:<subnet>/<id>, on behalf of this peer, over a link of this bridge or over
// another bridge that was heard to relay from that subnet. The delivery is not acknowledged. Errors: ErrNoBridge,
// compat.ErrValue, compat.ErrFull, and those of the mesh.
func (b *Bridge) Whisper(ctx context.Context, to string, packets ...any) error {
	err := b.router.whisper(b.mesh.ID().String(), to, packets)
	if !errors.Is(err, ErrNoBridge) {
		return err
	}
	other, known := b.router.bridgeTo(to)
	if !known {
		return err
	}
	return b.mesh.Reply(ctx, mesh.Message{From: other, Origin: to}, packets...)
}
