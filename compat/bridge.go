package compat

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/chord"
	"github.com/p2p-today/go2p/internal/ttlset"
	"github.com/p2p-today/go2p/mesh"
	p2psync "github.com/p2p-today/go2p/sync"
)

// Errors of a bridge.
var (
	ErrNoLink   = errors.New("no such link")
	ErrLinkName = errors.New("there is a link with this name")
	ErrNoBridge = errors.New("no bridge to that network is known")
)

// BridgeOptions are the optional settings of NewBridge.
type BridgeOptions struct {
	Sync   *p2psync.Dict // shared with old sync networks. Default: none is
	Chord  *chord.Table  // shared with old chord networks. Default: none is
	Logger *slog.Logger  // Default: silent
}

// A Bridge carries what is said in old networks into a native one and back, and from one
// old network to another. Its methods may be called concurrently. It is made by NewBridge
// and lives until Close; the mesh and what stands on it stay the caller's, and must be
// closed after it.
//
// Broadcasts cross once, however many bridges there are, and so do whispers and replies.
// Keys of an old dictionary belong to legacy:<subnet>/<id>, who has not signed anything,
// and are leased like others; those of native peers are leased in the old network.
type Bridge struct {
	mesh  *mesh.Mesh
	opts  BridgeOptions
	log   *slog.Logger
	chain *mesh.Handler
	end   func() // observing

	ctx    context.Context
	cancel context.CancelFunc

	mu       sync.Mutex
	links    map[string]*link
	carriers map[string]peer.ID // who was last heard to carry from an old network, by subnet
	closed   bool
}

const maxCarriers = 256

// NewBridge makes a bridge without links.
func NewBridge(m *mesh.Mesh, opts *BridgeOptions) *Bridge {
	b := &Bridge{mesh: m, links: map[string]*link{}, carriers: map[string]peer.ID{}}
	if opts != nil {
		b.opts = *opts
	}
	b.log = b.opts.Logger
	if b.log == nil {
		b.log = slog.New(slog.DiscardHandler)
	}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.chain = m.Handle(b.answered)
	b.end = m.Service("bridge").Observe(b.observe)
	return b
}

// Close ends all links.
func (b *Bridge) Close() error {
	b.mu.Lock()
	b.closed = true
	links := slices.Collect(maps.Values(b.links))
	clear(b.links)
	b.mu.Unlock()
	b.chain.Remove()
	b.end()
	b.cancel()
	for _, l := range links {
		l.close()
	}
	return nil
}

// A link is a bridge's node in an old network.
type link struct {
	b     *Bridge
	name  string
	opts  Options
	addrs []string // to connect to
	node  *Node
	id    string // of the network

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	messages chan Message  // from the old network
	sends    chan outgoing // to it
	answers  chan answerTo // whispers to it
	replies  chan reply    // whispers from it
	work     *work         // keys that have changed
	in, out  atomic.Uint64 // messages and keys
	dropped  counters      // and why
	rivals   rivals        // of mirror

	mu       sync.Mutex
	vote     election
	said     time.Time            // that this bridge is there
	personas map[string]*persona  // by author
	resident *ttlset.Set          // IDs of the old network
	failed   map[string]time.Time // addresses that a persona could not connect to
	refused  []Refusal
}

// An outgoing is a native message that goes to an old network.
type outgoing struct {
	msg mesh.Message
	at  time.Time
}

// Limits of a link.
const (
	maxMessages = 1024 // that wait on either way
	maxAnswers  = 256
	maxRefused  = 16
)

// Add opens a node in an old network and connects it to the addresses, again and again.
// The name must not be in use; an empty one is made up. The context bounds the call alone.
// Errors: ErrLinkName, ErrKind if the bridge has no dictionary or table for a network that
// has, those of Open, ErrClosed.
func (b *Bridge) Add(ctx context.Context, name string, opts Options, addrs ...string) (LinkStatus, error) {
	l, err := b.add(ctx, name, opts, addrs)
	if err != nil {
		return LinkStatus{}, fmt.Errorf("compat: bridge: %w", err)
	}
	return l.status(), nil
}

func (b *Bridge) add(ctx context.Context, name string, opts Options, addrs []string) (*link, error) {
	if opts.Logger == nil {
		opts.Logger = b.opts.Logger
	}
	v, err := opts.complete()
	if err != nil {
		return nil, err
	}
	for _, addr := range addrs {
		if _, err := parseAddr(addr); err != nil {
			return nil, fmt.Errorf("address %q: %w", addr, err)
		}
	}
	if opts.Kind == Sync && b.opts.Sync == nil || opts.Kind == Chord && b.opts.Chord == nil {
		return nil, fmt.Errorf("%w: the bridge has nothing to share with it", ErrKind)
	}
	l := &link{
		b: b, name: name, addrs: addrs, id: opts.subnetID(v),
		messages: make(chan Message, maxMessages), sends: make(chan outgoing, maxMessages), answers: make(chan answerTo, maxAnswers), replies: make(chan reply, maxAnswers),
		work: newWork(), vote: election{self: b.mesh.ID().String(), heard: map[string]time.Time{}},
		personas: map[string]*persona{}, resident: newResident(), failed: map[string]time.Time{},
	}
	opts.tap = l.tap
	l.opts = opts
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, ErrClosed
	}
	for n := len(b.links) + 1; l.name == "" || b.links[l.name] != nil; n++ {
		if name != "" {
			return nil, fmt.Errorf("%w: %q", ErrLinkName, name)
		}
		l.name = fmt.Sprintf("%s-%s-%d", opts.Kind, opts.Version, n)
	}
	l.ctx, l.cancel = context.WithCancel(b.ctx)
	if _, err = openNode(ctx, opts, func(n *Node) { l.node = n }); err != nil {
		l.cancel()
		return nil, err
	}
	b.links[l.name] = l
	l.run()
	return l, nil
}

// run begins what a link does.
func (l *link) run() {
	loops := []func(){l.tick, l.bringMessages, l.sendMessages, l.sendAnswers, l.bringReplies}
	for _, addr := range l.addrs {
		loops = append(loops, func() { l.connect(addr) })
	}
	switch l.opts.Kind {
	case Sync:
		loops = append(loops, l.watchDict, l.mirror)
	case Chord:
		loops = append(loops, l.watchTable, l.share)
	}
	for _, loop := range loops {
		l.wg.Go(loop)
	}
}

// close ends it.
func (l *link) close() {
	l.cancel()
	l.node.Close()
	l.wg.Wait()
	closeAll(slices.Collect(maps.Values(l.personas))) // nobody else has them any more
}

// connect connects to an address, again and again until it works; then the node keeps it.
func (l *link) connect(addr string) {
	pause := minRedial
	for l.ctx.Err() == nil {
		err := l.node.Connect(l.ctx, addr)
		if err == nil {
			return
		}
		l.b.log.Info("cannot connect", "link", l.name, "addr", addr, "err", err)
		select {
		case <-time.After(pause):
		case <-l.ctx.Done():
		}
		pause = min(2*pause, maxRedial)
	}
}

// Remove ends a link. Error: ErrNoLink.
func (b *Bridge) Remove(name string) error {
	b.mu.Lock()
	l := b.links[name]
	delete(b.links, name)
	b.mu.Unlock()
	if l == nil {
		return fmt.Errorf("compat: bridge: %w: %q", ErrNoLink, name)
	}
	l.close()
	return nil
}

// all are the links, by name.
func (b *Bridge) all() (list []*link) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range b.links {
		list = append(list, l)
	}
	slices.SortFunc(list, func(x, y *link) int { return strings.Compare(x.name, y.name) })
	return list
}

// tap takes what the node tells. It must not wait.
func (l *link) tap(ev any) {
	switch ev := ev.(type) {
	case Message:
		l.took(ev)
	case Change:
		l.meet(ev.Owner)
		l.work.old(ev.Key, cause{old: true, owner: ev.Owner, time: ev.Time.Unix()})
	case contest:
		l.meet(ev.sender)
		l.work.old(ev.key, cause{lost: []contest{ev}})
	case notice:
		l.work.old(ev.key, cause{old: true, gone: ev.gone})
	case presence:
		l.heardBridge(ev)
	case Event:
		l.happened(ev)
	}
}

// happened follows who is connected.
func (l *link) happened(ev Event) {
	switch ev.Kind {
	case EventConnect:
		l.meet(ev.Peer.ID)
		l.mu.Lock()
		if l.vote.joined.IsZero() {
			l.vote.joined = time.Now()
		}
		l.said = time.Time{}
		l.mu.Unlock()
	case EventRefused:
		if errors.Is(ev.Err, ErrTwice) {
			return // it is let in
		}
		l.mu.Lock()
		l.refused = append(l.refused, Refusal{Remote: ev.Peer.Remote, Err: ev.Err, Time: time.Now()})
		if len(l.refused) > maxRefused {
			l.refused = l.refused[1:]
		}
		l.mu.Unlock()
	}
}

// meet notes that somebody is of the old network.
func (l *link) meet(id string) {
	if marked(id) || id == "" || id == l.node.ID() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.resident.Add(time.Now(), id)
}

func (l *link) isResident(id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.resident.Has(time.Now(), id)
}

// tick does what is due from time to time.
func (l *link) tick() {
	every := time.NewTicker(100 * time.Millisecond)
	defer every.Stop()
	for n := 0; ; n++ {
		select {
		case <-l.ctx.Done():
			return
		case <-every.C:
		}
		l.present()
		if n%10 == 0 {
			l.tendPersonas()
		}
	}
}

// present tells other bridges that this one is there.
func (l *link) present() {
	now := time.Now()
	peers := len(l.node.Peers())
	l.mu.Lock()
	due := peers > 0 && now.Sub(l.said) >= presentEvery
	if due {
		l.said = now
	}
	if peers == 0 {
		l.vote.joined = time.Time{}
	}
	l.mu.Unlock()
	if due {
		l.node.do(func(now time.Time) error {
			l.node.c.present(now, presence{l.b.mesh.Tag(), l.vote.self})
			return nil
		})
	}
}

// heardBridge takes the presence of another bridge, and has this one answer if it is new.
func (l *link) heardBridge(p presence) {
	if p.tag != l.b.mesh.Tag() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.vote.hear(time.Now(), p.bridge) {
		l.said = time.Time{}
	}
}

// elected tells whether this bridge does what one of several has to do.
func (l *link) elected() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.vote.won(time.Now())
}

// sleep waits, and tells whether the link is still there.
func (l *link) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-l.ctx.Done():
		return false
	}
}
