package mesh

import (
	"context"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/p2p-today/go2p/internal/fanout"
	"github.com/p2p-today/go2p/internal/metrics"
	"github.com/p2p-today/go2p/internal/ttlset"
	"github.com/p2p-today/go2p/mesh/internal/liveness"
	"github.com/p2p-today/go2p/mesh/internal/netkey"
	"github.com/p2p-today/go2p/mesh/internal/peerlimit"
	"github.com/p2p-today/go2p/mesh/internal/redial"
	"github.com/p2p-today/go2p/mesh/internal/repair"
)

// A Mesh is this peer's membership of one network. Its methods may be called
// concurrently. It is made by Join and lives until Close.
type Mesh struct {
	host       host.Host
	id         peer.ID
	name       string
	opts       Options
	log        *slog.Logger
	secret     netkey.Secret
	tag        string
	signer     crypto.PrivKey
	boot       uint64
	epoch      time.Time // the start of this run; what is timed is timed from here
	hostmux    *hostmux
	memberHost *memberHost
	gossip     *pubsub.PubSub
	topic      *pubsub.Topic
	inbox      *inbox
	outbox     *outbox
	events     fanout.Feed[Event]
	stats      stats
	metrics    *metrics.Set

	closing atomic.Bool     // Close was called
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	wake    chan struct{} // the loop looks at its deadlines again
	short   chan struct{} // there may be too few neighbours
	stale   chan struct{} // the history has changed
	urgent  chan struct{} // and that is not to wait

	mu           sync.Mutex
	closed       bool
	handlers     map[protocol.ID]network.StreamHandler
	chain        []*Handler
	observers    []*Handler
	members      map[peer.ID]*member
	admitted     time.Time     // when the last member came
	changed      chan struct{} // closed, and replaced; see awaitChange
	waiting      map[peer.ID]int
	disconnected map[peer.ID]bool  // until somebody connects explicitly
	refusals     map[peer.ID]error // of peers in Options.Join, until they admit
	redials      *redial.Schedule
	addresses    addressBook
	outgoing     map[peer.ID]*whisperStream
	asks         map[string]ask
	ackQueries   map[uint64]*ackQuery // by nonce

	whisperSeq uint64 // of the last whisper, under mu
	ackNonce   uint64 // nonce of the last survey, under mu

	limitsMu sync.Mutex
	limits   *peerlimit.Table

	historyMu    sync.Mutex
	history      *repair.History // of broadcasts
	seenWhispers *repair.Seen
	relayed      *ttlset.Set // from other networks
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
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("mesh: join %q: %w", network, err)
	}
	m, err := newMesh(h, network, opts)
	if err != nil {
		return nil, fmt.Errorf("mesh: join %q: %w", network, err)
	}
	if err := m.start(); err != nil {
		m.stop()
		return nil, fmt.Errorf("mesh: join %q: %w", network, err)
	}
	return m, nil
}

func newMesh(h host.Host, name string, opts *Options) (*Mesh, error) {
	m := &Mesh{
		host: h, id: h.ID(), name: name, epoch: time.Now(), inbox: newInbox(), outbox: newOutbox(),
		wake: make(chan struct{}, 1), short: make(chan struct{}, 1), changed: make(chan struct{}),
		handlers: map[protocol.ID]network.StreamHandler{},
		members:  map[peer.ID]*member{}, waiting: map[peer.ID]int{},
		disconnected: map[peer.ID]bool{}, refusals: map[peer.ID]error{}, limits: peerlimit.NewTable(peerlimit.DefaultBudgets()),
		outgoing: map[peer.ID]*whisperStream{}, asks: map[string]ask{},
		ackQueries:   map[uint64]*ackQuery{},
		stale:        make(chan struct{}, 1),
		urgent:       make(chan struct{}, 1),
		events:       fanout.Feed[Event]{Size: func(ev Event) int { return ev.Message.size }},
		history:      repair.New(newRand()),
		seenWhispers: repair.NewSeen(),
		relayed:      ttlset.New(relayedTTL, maxRelayed),
		redials:      redial.New(newRand()),
	}
	if opts != nil {
		m.opts = *opts
	}
	if m.opts.Handle != nil {
		m.chain = []*Handler{{m, m.opts.Handle}}
	}
	if m.opts.Neighbours == 0 {
		m.opts.Neighbours = defaultNeighbours
	}
	m.log = m.opts.Logger
	if m.log == nil {
		m.log = slog.New(slog.DiscardHandler)
	}
	m.log = m.log.With("network", name)
	var err error
	if m.secret, err = netkey.New(name, m.opts.Key); err != nil {
		return nil, err
	}
	m.tag = m.secret.Tag()
	if _, err := h.ID().ExtractPublicKey(); err != nil {
		return nil, fmt.Errorf("peer ID %s does not carry its public key, as those of Ed25519 identities do: %w", h.ID(), err)
	}
	if m.signer = h.Peerstore().PrivKey(h.ID()); m.signer == nil {
		return nil, fmt.Errorf("the host's peerstore lacks its own private key")
	}
	if m.addresses, m.boot, err = openAddressBook(m.opts.Dir, m.tag, wallClock(m.id)); err != nil {
		return nil, err
	}
	m.metrics = m.newMetrics()
	m.ctx, m.cancel = context.WithCancel(context.Background())
	return m, nil
}

// newRand is a random source for a core.
func newRand() *mathrand.Rand {
	return mathrand.New(mathrand.NewPCG(mathrand.Uint64(), mathrand.Uint64()))
}

func (m *Mesh) start() error {
	m.setHandler(ControlProtocol, m.handleControl)
	m.setHandler(WhisperProtocol, m.handleWhispers)
	if err := m.metrics.Register(m.opts.Registerer); err != nil {
		return err
	}
	if err := m.startGossip(); err != nil {
		return err
	}
	m.mu.Lock()
	for _, ai := range m.opts.Join {
		m.redials.Add(m.epoch, string(ai.ID))
	}
	for _, p := range m.addresses.ids() {
		m.redials.Add(m.epoch, string(p))
	}
	m.mu.Unlock()
	if err := enter(m); err != nil {
		return err
	}
	m.wg.Go(m.loop)
	m.wg.Go(m.dispatch)
	m.wg.Go(m.seekNeighbours)
	m.wg.Go(m.repair)
	m.wg.Go(m.publish)
	if m.opts.Discovery != nil {
		m.wg.Go(m.advertise)
		m.wg.Go(m.discover)
	}
	return nil
}

// Close leaves the network: members are told, streams of the network end, nothing
// of it remains on the host. It waits for what the mesh has started, handlers
// included (a handler must not call it), and may be called more than once.
func (m *Mesh) Close() error {
	if m.closing.Swap(true) {
		<-m.ctx.Done()
		m.wg.Wait()
		return nil
	}
	m.flush()
	m.mu.Lock()
	m.closed = true
	m.notifyChange()
	m.mu.Unlock()
	m.hostmux.leave(m, m.memberIDs())
	for _, p := range m.memberIDs() {
		m.expel(p, ErrClosed)
	}
	m.stop()
	return nil
}

// flush gives what was broadcast in the last two seconds as long to reach the
// neighbours: published is not written yet. Who does not have what is older fetches
// it from others.
func (m *Mesh) flush() {
	ctx, cancel := context.WithTimeout(m.ctx, flushTime)
	defer cancel()
	last, err := m.outbox.flush(ctx)
	now := time.Now()
	m.historyMu.Lock()
	first := m.history.Since(m.run(), now.Add(-flushTime))
	m.historyMu.Unlock()
	if err == nil && first != 0 {
		_, err = m.queryAcks(ctx, repair.Interval{First: first, Last: last}, now)
	}
	if err != nil {
		m.log.Warn("closed before all neighbours had the last broadcasts", "err", err)
	}
}

// run names the broadcasts of this run.
func (m *Mesh) run() repair.Run { return repair.Run{Author: string(m.id), Boot: m.boot} }

// stop ends what start began.
func (m *Mesh) stop() {
	m.cancel()
	m.metrics.Unregister(m.opts.Registerer)
	for _, c := range m.host.Network().Conns() {
		m.resetStreams(c)
	}
	m.wg.Wait()
	m.events.Close()
}

// ID returns this peer's ID, the author of what it sends.
func (m *Mesh) ID() peer.ID { return m.id }

// Network returns the name of the network.
func (m *Mesh) Network() string { return m.name }

// Tag returns 16 hex digits that follow from the network's name and key. All members
// have the same, and of another network or key others; it tells nothing of either.
func (m *Mesh) Tag() string { return m.tag }

// beat is the shortest time between two looks at all members that nothing urges.
const beat = 100 * time.Millisecond

// loop owns what happens at a certain time: pings, redials, saving.
func (m *Mesh) loop() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-m.ctx.Done():
			m.save()
			return
		case <-m.wake:
		case <-timer.C:
		}
		now := time.Now()
		m.pingSilent(now)
		m.redialDue(now)
		m.save()
		timer.Reset(max(time.Until(m.deadline(now)), beat))
	}
}

// deadline says when the loop has something to do next.
func (m *Mesh) deadline(now time.Time) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	first := now.Add(time.Hour)
	if d := m.redials.Deadline(); !d.IsZero() && d.Before(first) {
		first = d
	}
	pause := liveness.Patience(len(m.members))
	for _, mb := range m.members {
		if d := mb.live.Deadline(mb.lastHeard(), pause); d.Before(first) {
			first = d
		}
	}
	return first
}

func (m *Mesh) wakeLoop() { signal(m.wake) }

// signal notes on a channel with room for one that there is something to do.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (m *Mesh) setHandler(id protocol.ID, f network.StreamHandler) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f == nil {
		delete(m.handlers, id)
		return
	}
	m.handlers[id] = func(s network.Stream) {
		if m.begin() {
			defer m.wg.Done()
			f(s)
		} else {
			s.Reset()
		}
	}
}

// begin counts one more stream being handled, unless the mesh is closed.
func (m *Mesh) begin() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return false
	}
	m.wg.Add(1)
	return true
}

func (m *Mesh) handler(id protocol.ID) network.StreamHandler {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.handlers[id]
}

// newStream opens a stream of this network to a member, over any connection.
func (m *Mesh) newStream(ctx context.Context, p peer.ID, id protocol.ID) (network.Stream, error) {
	if !m.isMember(p) {
		return nil, fmt.Errorf("%s is no member", p)
	}
	ctx = network.WithAllowLimitedConn(network.WithNoDial(ctx, "members are connected"), "go2p")
	s, err := m.host.NewStream(ctx, p, onWire(id, m.tag))
	if err != nil {
		return nil, err
	}
	if !m.isMember(p) { // it left meanwhile, and expel has not seen this stream
		s.Reset()
		return nil, fmt.Errorf("%s is no member any more", p)
	}
	return s, nil
}

// resetStreams ends all streams of this network on a connection.
func (m *Mesh) resetStreams(c network.Conn) {
	for _, s := range c.GetStreams() {
		if _, tag, _ := offWire(s.Protocol()); tag == m.tag {
			s.Reset()
		}
	}
}
