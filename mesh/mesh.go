package mesh

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/internal/fanout"
	"github.com/p2p-today/go2p/internal/lifecycle"
	"github.com/p2p-today/go2p/internal/metrics"
	"github.com/p2p-today/go2p/mesh/internal/netkey"
	"github.com/p2p-today/go2p/mesh/internal/repair"
)

// A Mesh is this peer's membership of one network. Its methods may be called
// concurrently. It is made by Join and lives until Close.
//
// It has no state but its components, each of which locks for itself. They know those
// above them in the list, and no component knows the Mesh.
type Mesh struct {
	*local
	opts    Options
	metrics *metrics.Set
	closing sync.Once

	bans        *bans
	handlers    *streamHandlers
	members     *membership
	tenant      *tenant
	dialer      *dialer
	finder      *finder
	dispatcher  *dispatcher
	gossip      *gossip
	broadcaster *broadcaster
	whisperer   *whisperer
}

// Join makes the host a member of a network. It returns at once; neighbours are
// looked for in the background, among the peers that the host is or becomes
// connected to and those named by the options. The host stays the caller's: Join
// adds stream handlers to it, Close removes them, nothing closes the host.
//
// The context bounds the call alone. Errors: the network is joined already, the
// key has a wrong length, the options' directory cannot be used, or the host's
// peer ID does not carry its public key (Ed25519 and Secp256k1 ones do).
func Join(ctx context.Context, h host.Host, network string, opts *Options) (*Mesh, error) {
	return joinWithClock(ctx, h, network, opts, time.Now)
}

// joinWithClock is Join with a clock that other peers are shown, and nothing is decided by.
func joinWithClock(ctx context.Context, h host.Host, network string, opts *Options, clock func() time.Time) (*Mesh, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("mesh: join %q: %w", network, err)
	}
	m, err := newMesh(h, network, opts, clock)
	if err != nil {
		return nil, fmt.Errorf("mesh: join %q: %w", network, err)
	}
	if err := m.start(); err != nil {
		m.stop()
		return nil, fmt.Errorf("mesh: join %q: %w", network, err)
	}
	return m, nil
}

func newMesh(h host.Host, network string, opts *Options, clock func() time.Time) (*Mesh, error) {
	m := &Mesh{}
	if opts != nil {
		m.opts = *opts
	}
	o := &m.opts
	if o.Neighbours == 0 {
		o.Neighbours = defaultNeighbours
	}
	l, addresses, err := newLocal(h, network, o, clock)
	if err != nil {
		return nil, err
	}
	m.local = l
	m.bans = newBans(l, m.ban)
	m.handlers = newStreamHandlers(l)
	m.members = newMembership(l, memberHooks{
		joining: func(p peer.ID, now time.Time) { m.dialer.joining(p, now) },
		leaving: func(p peer.ID, now time.Time, redial bool) { m.dialer.leaving(p, now, redial) },
		joined:  m.joined,
		left:    m.left,
	})
	m.tenant = &tenant{local: l, bans: m.bans, members: m.members, handlers: m.handlers}
	m.dialer = newDialer(m.tenant, o.Join, addresses)
	m.finder = newFinder(newPeerLists(m.dialer), o)
	m.dispatcher = newDispatcher(l, o.Handle)
	m.broadcaster = newBroadcaster(m.members, m.bans, m.dispatcher)
	m.whisperer = newWhisperer(m.members, m.bans, m.dispatcher.inbox, m.finder.reach)
	m.metrics = newMetrics(network, l.stats, m.members.count)
	return m, nil
}

// newLocal returns this peer in a network, and what its directory remembers of others.
func newLocal(h host.Host, network string, o *Options, clock func() time.Time) (*local, addressBook, error) {
	l := &local{
		host: h, id: h.ID(), network: network, epoch: time.Now(), clock: clock, log: o.Logger,
		group: lifecycle.New(), stats: &stats{},
		events: &fanout.Feed[Event]{Size: func(ev Event) int { return ev.Message.size }},
	}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	l.log = l.log.With("network", network)
	var addresses addressBook
	var err error
	if l.secret, err = netkey.New(network, o.Key); err != nil {
		return nil, addresses, err
	}
	l.tag = l.secret.Tag()
	if _, err := l.id.ExtractPublicKey(); err != nil {
		return nil, addresses, fmt.Errorf("peer ID %s does not carry its public key, as those of Ed25519 identities do: %w", l.id, err)
	}
	if l.signer = h.Peerstore().PrivKey(l.id); l.signer == nil {
		return nil, addresses, fmt.Errorf("the host's peerstore lacks its own private key")
	}
	addresses, l.boot, err = openAddressBook(o.Dir, l.tag, clock())
	return l, addresses, err
}

func (m *Mesh) start() error {
	c := &controlHandler{local: m.local, members: m.members, bans: m.bans, lists: m.finder.lists, broadcaster: m.broadcaster}
	m.handlers.set(ControlProtocol, c.handle)
	m.handlers.set(WhisperProtocol, m.whisperer.handle)
	if err := m.metrics.Register(m.opts.Registerer); err != nil {
		return err
	}
	memberHost, err := newMemberHost(m.members, m.bans, m.handlers)
	if err != nil {
		return err
	}
	m.tenant.announce = memberHost.announce
	if m.gossip, err = startGossip(memberHost); err != nil {
		return err
	}
	if err := m.broadcaster.start(m.gossip); err != nil {
		return err
	}
	if err := hosts.join(m.tenant); err != nil {
		return err
	}
	m.group.Go(m.members.run)
	m.group.Go(m.dialer.run)
	m.group.Go(m.dispatcher.run)
	m.finder.start()
	return nil
}

// Close leaves the network: members are told, streams of the network end, nothing
// of it remains on the host. It waits for what the mesh has started, handlers
// included (a handler must not call it), and may be called more than once.
func (m *Mesh) Close() error {
	m.closing.Do(func() {
		m.broadcaster.flush()
		m.group.Seal()
		m.members.close()
		m.tenant.leave()
		for _, p := range m.members.ids() {
			m.members.expel(p, ErrClosed)
		}
		m.stop()
	})
	return nil
}

// stop ends what start began.
func (m *Mesh) stop() {
	m.group.Cancel()
	m.metrics.Unregister(m.opts.Registerer)
	for _, c := range m.host.Network().Conns() {
		m.members.resetStreams(c)
	}
	m.group.Wait()
	m.events.Close()
}

// joined tells the components of a new member.
func (m *Mesh) joined(p peer.ID, now time.Time) {
	m.broadcaster.repairer.joined(p, now)
	m.tenant.announce(p)
	m.dialer.wake.Set()
	m.finder.short.Set()
}

// left tells the components of a peer that is no member any more.
func (m *Mesh) left(p peer.ID) {
	m.broadcaster.acks.left(p)
	m.broadcaster.repairer.left(p)
	m.dialer.wake.Set()
	m.finder.short.Set()
}

// ban puts a member out of the network for ten minutes.
func (m *Mesh) ban(p peer.ID, why error) {
	if !m.members.has(p) {
		return
	}
	until := time.Now().Add(banTime)
	m.bans.add(p, until)
	m.dialer.redialAt(p, until)
	m.stats.note(p, why)
	m.log.Warn("member banned for ten minutes", "peer", p, "err", why)
	m.tenant.mux.renew(p)
	m.members.expel(p, why)
}

// ID returns this peer's ID, the author of what it sends.
func (m *Mesh) ID() peer.ID { return m.id }

// Network returns the name of the network.
func (m *Mesh) Network() string { return m.network }

// Tag returns 16 hex digits that follow from the network's name and key. All members
// have the same, and of another network or key others; it tells nothing of either.
func (m *Mesh) Tag() string { return m.tag }

// Connect connects to a peer and returns when it is a member, of this network,
// at both ends. To a member that is behind a relay it tries to connect directly. It
// lifts an earlier Disconnect. Errors: ErrUnreachable,
// ErrNoCommonNetwork (the other end reports it, too), ErrClosed, or the context's.
func (m *Mesh) Connect(ctx context.Context, to peer.AddrInfo) error {
	m.bans.lift(to.ID)
	if err := m.dialer.connect(ctx, to, true); err != nil {
		if !errors.Is(err, ErrNoCommonNetwork) {
			m.stats.note(to.ID, err)
		}
		return fmt.Errorf("mesh: connect to %s: %w", to.ID, err)
	}
	return nil
}

// Disconnect ends the membership of a neighbour at both ends. Neither dials the
// other again in this run until one calls Connect. Connections stay: others may
// use them.
func (m *Mesh) Disconnect(p peer.ID) error {
	if !m.members.has(p) {
		return fmt.Errorf("mesh: disconnect %s: not a neighbour", p)
	}
	m.bans.disconnect(p)
	m.dialer.forget(p)
	m.tenant.mux.renew(p) // tells p
	m.members.expel(p, ErrLeft)
	return nil
}

// AwaitNeighbour returns nil when there is a neighbour, and waits for the first one
// while somebody is being dialled: those in Options.Join and remembered peers.
// Errors: ErrAlone if nobody is, ErrNoCommonNetwork if all in Options.Join have
// refused, ErrClosed, or the context's.
func (m *Mesh) AwaitNeighbour(ctx context.Context) error {
	return m.members.awaitAny(ctx, m.dialer.hopeless)
}

// Peers returns the neighbours, sorted by ID. The slice is the caller's.
func (m *Mesh) Peers() []Peer { return m.members.list() }

// RequestPeers asks all neighbours for theirs and returns the peers of the
// network that are known now, this peer not among them, neighbours included, in no
// particular order. Neighbours that do not answer within five seconds are left
// out. The addresses are hearsay.
func (m *Mesh) RequestPeers(ctx context.Context) ([]peer.AddrInfo, error) {
	list, err := m.finder.lists.request(ctx)
	if err != nil {
		return nil, fmt.Errorf("mesh: request peers: %w", err)
	}
	return list, nil
}

// Broadcast sends a message to all members of the network. It returns when the
// message is in the outbox, from which it goes out at once, or together with others
// that wait there; with the outbox full it waits for room. Close sends what is left.
// Without neighbours a message reaches those who come within the minute that
// members remember it, which may be nobody; that is no error. Neighbours that came
// within the last second are waited for until they can hear it, at most for that
// second. Errors: *TypeError, ErrTooLarge, ErrClosed, or the context's.
func (m *Mesh) Broadcast(ctx context.Context, packets ...any) (Receipt, error) {
	r, err := m.broadcaster.broadcast(ctx, packets)
	if err != nil {
		return Receipt{}, fmt.Errorf("mesh: broadcast: %w", err)
	}
	return r, nil
}

// Delivered asks the neighbours that were there when a message was broadcast, and still
// are, whether they have it. It returns how many have said so when all have, or, with
// the context's error, when the context ends. A neighbour says so within about 50 ms.
func (m *Mesh) Delivered(ctx context.Context, r Receipt) (int, error) {
	if r.seq == 0 {
		return 0, fmt.Errorf("mesh: delivered: the receipt is of no broadcast")
	}
	n, err := m.broadcaster.acks.ask(ctx, repair.Interval{First: r.seq, Last: r.seq}, r.time)
	if err != nil {
		err = fmt.Errorf("mesh: delivered: %w", err)
	}
	return n, err
}

// Whisper sends a message to one peer of the network and returns nil only when
// that one has it. A peer that is not a neighbour is looked for: at its known
// addresses, among the neighbours' neighbours and by the PeerRouting option. While
// the receiver's inbox is full Whisper waits. Whispers of one peer to another
// arrive in the order in which they were sent and once, also when a connection
// breaks between. Errors: ErrUnreachable, ErrNoCommonNetwork, *TypeError,
// ErrTooLarge, ErrClosed, or the context's; after the last the message may have
// arrived or not.
func (m *Mesh) Whisper(ctx context.Context, to peer.ID, packets ...any) error {
	if err := m.whisperer.whisper(ctx, to, "", packets); err != nil {
		return fmt.Errorf("mesh: whisper to %s: %w", to, err)
	}
	return nil
}

// Reply whispers to the author of a message, naming the message that it answers, or to
// the member that has relayed it, naming its sender. It is Whisper otherwise.
func (m *Mesh) Reply(ctx context.Context, msg Message, packets ...any) error {
	answers := msg.ID
	if msg.Origin != "" {
		answers = msg.Origin
	}
	if err := m.whisperer.whisper(ctx, msg.From, answers, packets); err != nil {
		return fmt.Errorf("mesh: reply to %s: %w", msg.From, err)
	}
	return nil
}

// Ask whispers and waits for the reply, which goes to no handler then. Without
// one it ends with the context's error, so give it a deadline.
func (m *Mesh) Ask(ctx context.Context, to peer.ID, packets ...any) (Message, error) {
	msg, err := m.whisperer.ask(ctx, to, packets)
	if err != nil {
		return Message{}, fmt.Errorf("mesh: ask %s: %w", to, err)
	}
	return msg, nil
}

// Relay broadcasts a message from another network. If another member has relayed it in
// the last five minutes nothing happens; otherwise it is handled here, too. Errors:
// those of Broadcast, ErrOrigin.
func (m *Mesh) Relay(ctx context.Context, from Relayed, packets ...any) (Receipt, error) {
	r, err := m.broadcaster.relay(ctx, from, packets)
	if err != nil {
		return Receipt{}, fmt.Errorf("mesh: relay: %w", err)
	}
	return r, nil
}

// RelayTo whispers a message from another network, to this peer, too. Errors: those of
// Whisper, ErrOrigin.
func (m *Mesh) RelayTo(ctx context.Context, to peer.ID, from Relayed, packets ...any) error {
	if err := m.whisperer.relay(ctx, to, from, packets); err != nil {
		return fmt.Errorf("mesh: relay to %s: %w", to, err)
	}
	return nil
}

// Handle adds a function to the end of the chain of handlers. Each message is
// given to one handler after the other until one returns true; what none takes
// goes to Messages and Events. Handlers run one message at a time, in the order of
// arrival; meanwhile others wait, as Whisper says. The context ends with Close.
func (m *Mesh) Handle(f func(context.Context, Message) (taken bool)) *Handler {
	return m.dispatcher.handle(f)
}

// Events yields what happens from the call on, until the context ends, the mesh
// is closed (the last error is then ErrClosed) or the loop is left. A loop that is
// more than 1024 events or 16 MiB of messages behind ends with ErrLagged. The
// sequence can be ranged over once.
func (m *Mesh) Events(ctx context.Context) iter.Seq2[Event, error] {
	return follow(ctx, m.events, func(Event) bool { return true })
}

// Messages yields the messages from the call on that no handler takes, in the way
// of Events.
func (m *Mesh) Messages(ctx context.Context) iter.Seq2[Message, error] {
	events := follow(ctx, m.events, func(ev Event) bool { return ev.Kind == EventMessage })
	return func(yield func(Message, error) bool) {
		for ev, err := range events {
			if !yield(ev.Message, err) {
				return
			}
		}
	}
}
