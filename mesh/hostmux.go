package mesh

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"

	"github.com/p2p-today/go2p/mesh/internal/redial"
)

// A hostmux is what all networks joined on one host share: the hello with each
// connected peer, and the one handler behind which the streams of all networks
// are hidden. It exists while at least one network is joined.
type hostmux struct {
	host   host.Host
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	run    uint64

	mu    sync.Mutex
	gen   uint64
	nets  map[string]*Mesh // by tag
	peers map[peer.ID]*handshake
}

// An handshake is a connected peer that speaks the hello.
type handshake struct {
	again     chan struct{} // asks for one more hello
	stop      context.CancelFunc
	settled   time.Time // when the newest hello took effect; zero before the first
	local     helloInfo // of that hello
	remote    helloInfo
	answering int // being answered
}

// hubs has the hub of each host with a network. A host is not ours, so there
// is no other place where two networks on it could find each other.
var hubs = struct {
	sync.Mutex
	of map[host.Host]*hostmux
}{of: map[host.Host]*hostmux{}}

// enter adds m to the hub of its host and says hello anew to who is connected.
func enter(m *Mesh) error {
	hubs.Lock()
	defer hubs.Unlock()
	h := hubs.of[m.host]
	if h == nil {
		var err error
		if h, err = newHostmux(m.host); err != nil {
			return err
		}
		hubs.of[m.host] = h
	}
	if err := h.add(m); err != nil {
		return err
	}
	h.renew()
	return nil
}

func (h *hostmux) add(m *Mesh) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.nets[m.tag] != nil {
		return fmt.Errorf("mesh: this host is in the network %q already", m.name)
	}
	if len(h.nets) == maxNetworks {
		return fmt.Errorf("mesh: this host is in %d networks already", maxNetworks)
	}
	m.hostmux = h
	h.nets[m.tag] = m
	return nil
}

// leave takes m out of its hub and tells those of its members that can be
// told in two seconds. The last network closes the hub.
func (h *hostmux) leave(m *Mesh, members []peer.ID) {
	hubs.Lock()
	h.mu.Lock()
	delete(h.nets, m.tag)
	h.gen++
	last := len(h.nets) == 0
	h.mu.Unlock()
	if last { // under the lock: the next network's hub sets them again
		delete(hubs.of, h.host)
		h.host.RemoveStreamHandler(HelloProtocol)
		h.host.RemoveStreamHandler(ControlProtocol)
	}
	hubs.Unlock()

	ctx, cancel := context.WithTimeout(h.ctx, goodbye)
	defer cancel()
	var wg sync.WaitGroup
	for _, p := range members {
		wg.Go(func() {
			if g, err := h.sayHello(ctx, p, false); err == nil {
				h.settle(p, g)
			}
		})
	}
	wg.Wait()
	if last {
		h.cancel()
		h.wg.Wait()
	}
}

const goodbye = 2 * time.Second

func newHostmux(hst host.Host) (*hostmux, error) {
	sub, err := hst.EventBus().Subscribe([]any{
		new(event.EvtPeerIdentificationCompleted),
		new(event.EvtPeerProtocolsUpdated),
		new(event.EvtPeerConnectednessChanged),
	}, eventbus.Name("go2p"), eventbus.BufSize(256))
	if err != nil {
		return nil, fmt.Errorf("mesh: %w", err)
	}
	var run [8]byte
	rand.Read(run[:])
	h := &hostmux{
		host: hst, run: binary.BigEndian.Uint64(run[:]), gen: 1,
		nets: map[string]*Mesh{}, peers: map[peer.ID]*handshake{},
	}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	hst.SetStreamHandler(HelloProtocol, h.handleHello)
	hst.SetStreamHandlerMatch(ControlProtocol, h.serves, h.handleStream)
	h.wg.Go(func() { h.watch(sub) })
	for _, p := range hst.Network().Peers() {
		if ok, err := hst.Peerstore().SupportsProtocols(p, HelloProtocol); err == nil && len(ok) > 0 {
			h.meet(p)
		}
	}
	return h, nil
}

// watch follows the host's connections.
func (h *hostmux) watch(sub event.Subscription) {
	defer sub.Close()
	for {
		select {
		case <-h.ctx.Done():
			return
		case ev, ok := <-sub.Out():
			if !ok {
				return
			}
			switch ev := ev.(type) {
			case event.EvtPeerIdentificationCompleted:
				if slices.Contains(ev.Protocols, HelloProtocol) {
					h.meet(ev.Peer)
				}
			case event.EvtPeerProtocolsUpdated:
				if slices.Contains(ev.Added, HelloProtocol) {
					h.meet(ev.Peer)
				}
			case event.EvtPeerConnectednessChanged:
				h.connectedness(ev.Peer)
			}
		}
	}
}

// connectedness follows a change of the connections to p. It asks how things
// are now, since the event may be behind them.
func (h *hostmux) connectedness(p peer.ID) {
	now := h.host.Network().Connectedness(p)
	if now != network.Connected && now != network.Limited {
		h.mu.Lock()
		if a := h.peers[p]; a != nil {
			a.stop()
			delete(h.peers, p)
		}
		h.mu.Unlock()
	}
	for _, m := range h.networks() {
		switch now {
		case network.Connected:
			m.memberHost.announce(p) // perhaps it was only limited before
		case network.Limited:
		default:
			m.expel(p, ErrDisconnected)
		}
	}
}

func (h *hostmux) networks() []*Mesh {
	h.mu.Lock()
	defer h.mu.Unlock()
	nets := make([]*Mesh, 0, len(h.nets))
	for _, m := range h.nets {
		nets = append(nets, m)
	}
	return nets
}

// meet starts to say hello to p, once however often it is called while p is
// connected. Both ends do: two hellos do no harm, a missing one would.
func (h *hostmux) meet(p peer.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.peers[p] != nil || h.ctx.Err() != nil {
		return
	}
	ctx, stop := context.WithCancel(h.ctx)
	a := &handshake{again: make(chan struct{}, 1), stop: stop}
	h.peers[p] = a
	h.wg.Go(func() { h.keepGreeting(ctx, p, a.again) })
}

// keepGreeting says hello to p until it succeeds, and again each time it is asked to.
func (h *hostmux) keepGreeting(ctx context.Context, p peer.ID, again <-chan struct{}) {
	for failures := 0; ; {
		var retry <-chan time.Time
		g, err := h.sayHello(ctx, p, false)
		if err == nil {
			failures = 0
			h.settle(p, g)
		} else {
			if h.gone(p) {
				return
			}
			failures++
			retry = time.After(redial.Backoff(failures, newRand()))
		}
		select {
		case <-ctx.Done():
			return
		case <-again:
		case <-retry:
		}
	}
}

// gone forgets p if it is not connected any more. Its next connection meets it
// anew, which cannot be missed: that needs the lock, too.
func (h *hostmux) gone(p peer.ID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.host.Network().Connectedness(p)
	if now == network.Connected || now == network.Limited {
		return false
	}
	delete(h.peers, p)
	return true
}

// renew says hello again, to p or to everybody, after what this peer would
// say in it has changed.
func (h *hostmux) renew(ps ...peer.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.gen++
	for p, a := range h.peers {
		if len(ps) > 0 && !slices.Contains(ps, p) {
			continue
		}
		select {
		case a.again <- struct{}{}:
		default:
		}
	}
}

// helloInfo is what this peer says of itself in a new hello with p, and the
// networks that the hello is about.
func (h *hostmux) helloInfo(p peer.ID) (helloInfo, []*Mesh) {
	nets := h.networks()
	h.mu.Lock()
	s := helloInfo{Clock: wallClock(h.host.ID()).UnixMilli(), Run: h.run, Gen: h.gen}
	h.mu.Unlock()
	rand.Read(s.Nonce[:])
	return s, slices.DeleteFunc(nets, func(m *Mesh) bool { return m.banned(p) })
}

// settle makes the outcome of a hello take effect in all networks that it was
// about. Hellos between two peers may overtake each other; a result older than
// one that took effect changes nothing.
func (h *hostmux) settle(p peer.ID, g *helloResult) {
	h.mu.Lock()
	a := h.peers[p]
	if a == nil {
		// It is connected, or there would be no greeting; its identify
		// will follow.
		a = &handshake{}
	}
	before := a.settled
	restarted := !before.IsZero() && a.remote.Run != g.remote.Run
	if !before.IsZero() && !restarted && (g.local.Gen < a.local.Gen || g.remote.Gen < a.remote.Gen) {
		h.mu.Unlock()
		return
	}
	a.settled, a.local, a.remote = time.Now(), g.local, g.remote
	h.mu.Unlock()

	if restarted {
		h.dropRun(p, g, before)
	}
	for m, common := range g.common {
		if common {
			m.admit(p, g.skew)
		} else {
			m.expel(p, ErrLeft)
		}
	}
	if g.stranger() {
		for m := range g.common {
			m.refused(p, g.explicit)
		}
	}
}

// dropRun ends what was left of the former run of p, last heard of at a moment.
// The connections of a process that has ended are dead, whoever dialled them, but
// may take half a minute to find out.
func (h *hostmux) dropRun(p peer.ID, g *helloResult, heard time.Time) {
	for m := range g.common {
		m.expel(p, ErrDisconnected)
	}
	born := g.conn.Stat().Opened
	if born.Before(heard) {
		return // the same process has left and joined again
	}
	for _, c := range h.host.Network().ConnsToPeer(p) {
		if c.ID() != g.conn.ID() && c.Stat().Opened.Before(born) {
			c.Close()
		}
	}
}

// handleHello answers a hello. A peer that keeps several waiting is cut.
func (h *hostmux) handleHello(s network.Stream) {
	p := s.Conn().RemotePeer()
	h.meet(p)
	h.mu.Lock()
	a := h.peers[p]
	if a == nil || a.answering == maxHellos {
		h.mu.Unlock()
		s.Reset()
		return
	}
	a.answering++
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		a.answering--
		h.mu.Unlock()
	}()
	s.SetDeadline(time.Now().Add(helloTimeout))
	stop := context.AfterFunc(h.ctx, func() { s.Reset() })
	defer stop()
	if err := h.answer(s, p, func(g *helloResult) { h.settle(p, g) }); err != nil {
		for _, m := range h.networks() {
			m.log.Debug("hello failed", "peer", p, "err", err)
		}
		s.Reset()
		return
	}
	s.Close()
}

// onWire is a protocol's id on the wire of the network with the given tag.
func onWire(id protocol.ID, tag string) protocol.ID {
	return "/go2p/" + protocol.ID(tag) + id[len("/go2p"):]
}

// offWire is the inverse of onWire.
func offWire(wire protocol.ID) (id protocol.ID, tag string, ok bool) {
	rest, ok := strings.CutPrefix(string(wire), "/go2p/")
	tag, rest, cut := strings.Cut(rest, "/")
	return protocol.ID("/go2p/" + rest), tag, ok && cut
}

// serves tells whether one of the networks handles a wire protocol.
func (h *hostmux) serves(wire protocol.ID) bool {
	m, handler := h.route(wire)
	return m != nil && handler != nil
}

func (h *hostmux) route(wire protocol.ID) (*Mesh, network.StreamHandler) {
	id, tag, ok := offWire(wire)
	if !ok {
		return nil, nil
	}
	h.mu.Lock()
	m := h.nets[tag]
	h.mu.Unlock()
	if m == nil {
		return nil, nil
	}
	return m, m.handler(id)
}

// handleStream passes a stream of a network on when its peer is a member.
func (h *hostmux) handleStream(s network.Stream) {
	m, handler := h.route(s.Protocol())
	if handler == nil || !m.awaitMember(s.Conn().RemotePeer()) {
		s.Reset()
		return
	}
	handler(s)
}
