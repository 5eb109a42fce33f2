package mesh

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"

	"github.com/p2p-today/go2p/internal/lifecycle"
	"github.com/p2p-today/go2p/internal/notify"
	"github.com/p2p-today/go2p/mesh/internal/netkey"
	"github.com/p2p-today/go2p/mesh/internal/redial"
)

// A hostmux is what all networks joined on one host share: the handshake with each
// connected peer, and the one handler behind which the streams of all networks
// are hidden. It exists while at least one network is joined. Its mutex guards the
// networks and the handshakes; no other is locked with it held, but that of the registry
// is locked before it.
type hostmux struct {
	host  host.Host
	clock func() time.Time
	group *lifecycle.Group
	run   uint64

	mu    sync.Mutex
	gen   uint64
	nets  map[string]*tenant // by tag
	peers map[peer.ID]*handshake
}

// A tenant is one of the networks on a host, as the hostmux sees it.
type tenant struct {
	*local
	bans     *bans
	members  *membership
	handlers *streamHandlers
	announce func(peer.ID) // to gossipsub, of a member or a connection that was limited
	mux      *hostmux      // set when the network is added, before anything is called
}

// A handshake is with a connected peer that speaks the hello.
type handshake struct {
	again     notify.Flag // asks for one more hello
	stop      context.CancelFunc
	settled   time.Time // when the newest hello took effect; zero before the first
	local     helloInfo // of that hello
	remote    helloInfo
	answering int // hellos being answered
}

// An outcome is the result of a hello and the networks that it was about, in the order of
// its common ones.
type outcome struct {
	*helloResult
	nets []*tenant
}

// has reports whether the remote peer is in a network.
func (o *outcome) has(t *tenant) bool {
	i := slices.Index(o.nets, t)
	return i >= 0 && o.common[i]
}

// hosts is the one variable of the package that changes. A host is its user's, so that
// there is no other place where two networks on one host could find each other.
var hosts = hostRegistry{of: map[host.Host]*hostmux{}}

// A hostRegistry owns the hostmux of each host with a network. Its mutex is locked before
// that of a hostmux.
type hostRegistry struct {
	mu sync.Mutex
	of map[host.Host]*hostmux
}

// join adds a network to the hostmux of its host and says hello anew to connected peers.
func (r *hostRegistry) join(t *tenant) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.of[t.host]
	if h == nil {
		var err error
		if h, err = newHostmux(t.host, t.clock); err != nil {
			return err
		}
		r.of[t.host] = h
	}
	if err := h.add(t); err != nil {
		return err
	}
	h.renew()
	return nil
}

// leave takes a network out of the hostmux of its host, and reports whether it was the
// last.
func (r *hostRegistry) leave(t *tenant) (last bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := t.mux
	if last = h.remove(t); last { // under the lock: the next hostmux sets them again
		delete(r.of, h.host)
		h.host.RemoveStreamHandler(HelloProtocol)
		h.host.RemoveStreamHandler(ControlProtocol)
	}
	return last
}

func (h *hostmux) add(t *tenant) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.nets[t.tag] != nil {
		return fmt.Errorf("mesh: this host is in the network %q already", t.network)
	}
	if len(h.nets) == maxNetworks {
		return fmt.Errorf("mesh: this host is in %d networks already", maxNetworks)
	}
	t.mux = h
	h.nets[t.tag] = t
	return nil
}

func (h *hostmux) remove(t *tenant) (last bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.nets, t.tag)
	h.gen++
	return len(h.nets) == 0
}

const goodbye = 2 * time.Second

// leave takes the network off its host and tells those of its members that can be
// told in two seconds. The last network closes the hostmux.
func (t *tenant) leave() {
	h, last := t.mux, hosts.leave(t)
	ctx, cancel := context.WithTimeout(h.group.Context(), goodbye)
	defer cancel()
	var wg sync.WaitGroup
	for _, p := range t.members.ids() {
		wg.Go(func() {
			if o, err := h.sayHello(ctx, p, false); err == nil {
				h.settle(p, o)
			}
		})
	}
	wg.Wait()
	if last {
		h.group.Close()
	}
}

func newHostmux(hst host.Host, clock func() time.Time) (*hostmux, error) {
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
		host: hst, clock: clock, group: lifecycle.New(), run: binary.BigEndian.Uint64(run[:]), gen: 1,
		nets: map[string]*tenant{}, peers: map[peer.ID]*handshake{},
	}
	hst.SetStreamHandler(HelloProtocol, h.handleHello)
	hst.SetStreamHandlerMatch(ControlProtocol, h.serves, h.handleStream)
	h.group.Go(func() { h.watch(sub) })
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
		case <-h.group.Context().Done():
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
		if hs := h.peers[p]; hs != nil {
			hs.stop()
			delete(h.peers, p)
		}
		h.mu.Unlock()
	}
	for _, t := range h.networks() {
		switch now {
		case network.Connected:
			t.announce(p) // perhaps it was only limited before
		case network.Limited:
		default:
			t.members.expel(p, ErrDisconnected)
		}
	}
}

func (h *hostmux) networks() []*tenant {
	h.mu.Lock()
	defer h.mu.Unlock()
	nets := make([]*tenant, 0, len(h.nets))
	for _, t := range h.nets {
		nets = append(nets, t)
	}
	return nets
}

// meet starts to say hello to p, once however often it is called while p is
// connected. Both ends do: two hellos do no harm, a missing one would.
func (h *hostmux) meet(p peer.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.peers[p] != nil || h.group.Sealed() {
		return
	}
	ctx, stop := context.WithCancel(h.group.Context())
	hs := &handshake{again: notify.NewFlag(), stop: stop}
	h.peers[p] = hs
	h.group.Go(func() { h.keepGreeting(ctx, p, hs.again) })
}

// keepGreeting says hello to p until that succeeds, and again each time it is asked to.
func (h *hostmux) keepGreeting(ctx context.Context, p peer.ID, again notify.Flag) {
	for failures := 0; ; {
		var retry <-chan time.Time
		o, err := h.sayHello(ctx, p, false)
		if err == nil {
			failures = 0
			h.settle(p, o)
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
		case <-again.C():
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
	for p, hs := range h.peers {
		if len(ps) > 0 && !slices.Contains(ps, p) {
			continue
		}
		hs.again.Set()
	}
}

// sayHello opens a hello with p, which must be connected.
func (h *hostmux) sayHello(ctx context.Context, p peer.ID, explicit bool) (*outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, helloTimeout)
	defer cancel()
	ctx = network.WithAllowLimitedConn(network.WithNoDial(ctx, "hello"), "go2p")
	s, err := h.host.NewStream(ctx, p, HelloProtocol)
	if err != nil {
		return nil, fmt.Errorf("hello: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { s.Reset() })
	defer stop()
	info, nets := h.helloInfo(p)
	result, err := openHello(s, explicit, info, secretsOf(nets))
	if err != nil {
		s.Reset()
		return nil, fmt.Errorf("hello: %w", errors.Join(ctx.Err(), err))
	}
	s.Close()
	return &outcome{helloResult: result, nets: nets}, nil
}

// helloInfo returns what this peer says of itself in a new hello with p, and the
// networks that the hello is about.
func (h *hostmux) helloInfo(p peer.ID) (helloInfo, []*tenant) {
	nets := h.networks()
	h.mu.Lock()
	info := helloInfo{Clock: h.clock().UnixMilli(), Run: h.run, Gen: h.gen}
	h.mu.Unlock()
	rand.Read(info.Nonce[:])
	return info, slices.DeleteFunc(nets, func(t *tenant) bool { return t.bans.has(p) })
}

func secretsOf(nets []*tenant) []netkey.Secret {
	list := make([]netkey.Secret, len(nets))
	for i, t := range nets {
		list[i] = t.secret
	}
	return list
}

// handleHello answers a hello. A peer that keeps several waiting is cut.
func (h *hostmux) handleHello(s network.Stream) {
	p := s.Conn().RemotePeer()
	h.meet(p)
	h.mu.Lock()
	hs := h.peers[p]
	if hs == nil || hs.answering == maxHellos {
		h.mu.Unlock()
		s.Reset()
		return
	}
	hs.answering++
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		hs.answering--
		h.mu.Unlock()
	}()
	s.SetDeadline(time.Now().Add(helloTimeout))
	stop := context.AfterFunc(h.group.Context(), func() { s.Reset() })
	defer stop()
	if err := h.answer(s, p); err != nil {
		for _, t := range h.networks() {
			t.log.Debug("hello failed", "peer", p, "err", err)
		}
		s.Reset()
		return
	}
	s.Close()
}

func (h *hostmux) answer(s network.Stream, p peer.ID) error {
	var nets []*tenant
	return answerHello(s, func(explicit bool) (info helloInfo, list []netkey.Secret) {
		if explicit {
			for _, t := range h.networks() {
				t.bans.lift(p)
			}
		}
		info, nets = h.helloInfo(p)
		return info, secretsOf(nets)
	}, func(result *helloResult) {
		h.settle(p, &outcome{helloResult: result, nets: nets})
	})
}

// settle makes the outcome of a hello take effect in all networks that it was
// about. Hellos between two peers may overtake each other; a result older than
// one that took effect changes nothing.
func (h *hostmux) settle(p peer.ID, o *outcome) {
	h.mu.Lock()
	hs := h.peers[p]
	if hs == nil {
		// It is connected, or there would be no outcome; its identify
		// will follow.
		hs = &handshake{}
	}
	before := hs.settled
	restarted := !before.IsZero() && hs.remote.Run != o.remote.Run
	if !before.IsZero() && !restarted && (o.local.Gen < hs.local.Gen || o.remote.Gen < hs.remote.Gen) {
		h.mu.Unlock()
		return
	}
	hs.settled, hs.local, hs.remote = time.Now(), o.local, o.remote
	h.mu.Unlock()

	if restarted {
		h.dropRun(p, o, before)
	}
	for i, t := range o.nets {
		if o.common[i] {
			t.members.admit(p, o.skew)
		} else {
			t.members.expel(p, ErrLeft)
		}
	}
	if o.noneCommon() {
		for _, t := range o.nets {
			t.refused(p, o.explicit)
		}
	}
}

// dropRun ends what was left of the former run of p, last heard of at a moment.
// The connections of a process that has ended are dead, whoever dialled them, but
// may take half a minute to find out.
func (h *hostmux) dropRun(p peer.ID, o *outcome, heard time.Time) {
	for _, t := range o.nets {
		t.members.expel(p, ErrDisconnected)
	}
	born := o.conn.Stat().Opened
	if born.Before(heard) {
		return // the same process has left and joined again
	}
	for _, c := range h.host.Network().ConnsToPeer(p) {
		if c.ID() != o.conn.ID() && c.Stat().Opened.Before(born) {
			c.Close()
		}
	}
}

// serves reports whether one of the networks handles a wire protocol.
func (h *hostmux) serves(wire protocol.ID) bool {
	t, handler := h.route(wire)
	return t != nil && handler != nil
}

func (h *hostmux) route(wire protocol.ID) (*tenant, network.StreamHandler) {
	id, tag, ok := offWire(wire)
	if !ok {
		return nil, nil
	}
	h.mu.Lock()
	t := h.nets[tag]
	h.mu.Unlock()
	if t == nil {
		return nil, nil
	}
	return t, t.handlers.get(id)
}

// handleStream passes a stream of a network on when its peer is a member.
func (h *hostmux) handleStream(s network.Stream) {
	t, handler := h.route(s.Protocol())
	if handler == nil || !t.members.awaitMember(s.Conn().RemotePeer()) {
		s.Reset()
		return
	}
	handler(s)
}
