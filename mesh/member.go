package mesh

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/p2p-today/go2p/mesh/internal/liveness"
)

// A member is a connected peer that is in the network, from its hello until it
// leaves, falls silent or is lost. There is one for each, over however many
// connections.
type member struct {
	id         peer.ID
	since      time.Time
	epoch      time.Time
	heard      atomic.Int64 // nanoseconds from epoch
	rtt        atomic.Int64 // nanoseconds; 0 before the first answer
	out        chan controlMessage
	gone       chan struct{}    // closed when it ends
	live       liveness.Tracker // Mesh.mu
	skew       time.Duration    // Mesh.mu
	subscribed bool             // Mesh.mu; gossipsub knows it
	control    network.Stream
	lists      map[uint64]chan []listed // Mesh.mu; lists that were asked for
	whispering int                      // Mesh.mu; whisper streams from it
}

func (mb *member) hear() { mb.heard.Store(int64(time.Since(mb.epoch))) }

func (mb *member) lastHeard() time.Time { return mb.epoch.Add(time.Duration(mb.heard.Load())) }

// The ways to a peer.
const (
	PathDirect = "direct" // at least one connection without a relay
	PathRelay  = "relay"  // by way of a relay only
)

// A Peer is a member that this peer is connected to: a neighbour.
type Peer struct {
	ID    peer.ID
	Addrs []ma.Multiaddr // of its connections, as seen from here
	Path  string         // PathDirect or PathRelay
	RTT   time.Duration  // of the last ping; 0 before the first answer
	Since time.Time      // when it became a neighbour, by this peer's clock
	Skew  time.Duration  // its clock less this peer's at the hello, give or take the way
}

// AwaitNeighbour returns nil when there is a neighbour, and waits for the first one
// while somebody is being dialled: those in Options.Join and remembered peers.
// Errors: ErrAlone if nobody is, ErrNoCommonNetwork if all in Options.Join have
// refused, ErrClosed, or the context's.
func (m *Mesh) AwaitNeighbour(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.members) == 0 {
		switch {
		case m.closed:
			return ErrClosed
		case m.redials.Len() == 0:
			return ErrAlone
		case m.allRefused():
			return ErrNoCommonNetwork
		case !m.awaitChange(ctx):
			return ctx.Err()
		}
	}
	return nil
}

// Peers returns the neighbours, sorted by ID. The slice is the caller's.
func (m *Mesh) Peers() []Peer {
	m.mu.Lock()
	list := make([]Peer, 0, len(m.members))
	for _, mb := range m.members {
		list = append(list, Peer{ID: mb.id, RTT: time.Duration(mb.rtt.Load()), Since: mb.since, Skew: mb.skew})
	}
	m.mu.Unlock()
	for i := range list {
		list[i].Path = PathRelay
		for _, c := range m.host.Network().ConnsToPeer(list[i].ID) {
			list[i].Addrs = append(list[i].Addrs, c.RemoteMultiaddr())
			if _, err := c.RemoteMultiaddr().ValueForProtocol(ma.P_CIRCUIT); err != nil {
				list[i].Path = PathDirect
			}
		}
	}
	slices.SortFunc(list, func(a, b Peer) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return list
}

func (m *Mesh) memberIDs() []peer.ID {
	m.mu.Lock()
	defer m.mu.Unlock()
	ids := make([]peer.ID, 0, len(m.members))
	for p := range m.members {
		ids = append(ids, p)
	}
	return ids
}

func (m *Mesh) isMember(p peer.ID) bool { return m.member(p) != nil }

func (m *Mesh) member(p peer.ID) *member {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.members[p]
}

// awaitMember waits until p is a member, for as long as a hello may take.
func (m *Mesh) awaitMember(p peer.ID) bool {
	ctx, cancel := context.WithTimeout(m.ctx, helloTimeout)
	defer cancel()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.members[p] == nil && m.waiting[p] == maxWaiting {
		return false
	}
	m.waiting[p]++
	defer func() {
		if m.waiting[p]--; m.waiting[p] == 0 {
			delete(m.waiting, p)
		}
	}()
	for m.members[p] == nil {
		if !m.awaitChange(ctx) {
			return false
		}
	}
	return true
}

// awaitChange waits, with mu released, for somebody to be admitted, to subscribe or
// to refuse, or for Close.
func (m *Mesh) awaitChange(ctx context.Context) bool {
	changed := m.changed
	m.mu.Unlock()
	defer m.mu.Lock()
	select {
	case <-changed:
		return true
	case <-ctx.Done():
		return false
	}
}

// notifyChange ends the waiting in awaitChange. The caller holds mu.
func (m *Mesh) notifyChange() {
	close(m.changed)
	m.changed = make(chan struct{})
}

// admit makes p a member, which it stays if it is one.
func (m *Mesh) admit(p peer.ID, skew time.Duration) {
	now := time.Now()
	mb := &member{
		id: p, since: now, epoch: m.epoch, skew: skew,
		out: make(chan controlMessage, 64), gone: make(chan struct{}), lists: map[uint64]chan []listed{},
	}
	mb.hear()
	m.mu.Lock()
	if m.closed || m.members[p] != nil {
		m.mu.Unlock()
		return
	}
	first := len(m.members) == 0
	m.members[p] = mb
	m.admitted = now
	m.redials.Remove(string(p))
	delete(m.refusals, p)
	m.addresses.note(p, m.host.Peerstore().Addrs(p), now, m.forget)
	m.wg.Go(func() { m.writeControl(mb) })
	m.notifyChange()
	m.mu.Unlock()

	m.host.ConnManager().Protect(p, m.protection())
	m.log.Info("neighbour", "peer", p)
	m.historyMu.Lock()
	m.history.Join(now, string(p))
	m.historyMu.Unlock()
	signal(m.stale)
	m.memberHost.announce(p)
	m.events.Publish(Event{Kind: EventPeerUp, Peer: p, Time: now})
	if first {
		m.events.Publish(Event{Kind: EventConnect, Peer: p, Time: now})
	}
	m.wakeLoop()
	signal(m.short)
}

// expel ends the membership of p, if there is one. Unless it was meant to end,
// p is dialled again.
func (m *Mesh) expel(p peer.ID, why error) {
	now := time.Now()
	m.mu.Lock()
	mb := m.members[p]
	if mb == nil {
		m.mu.Unlock()
		return
	}
	delete(m.members, p)
	m.dropFromAckQueries(p)
	close(mb.gone)
	last := len(m.members) == 0
	if !m.closed && !errors.Is(why, ErrLeft) && !errors.Is(why, ErrOffended) {
		m.redials.Add(now, string(p))
	}
	m.mu.Unlock()

	m.historyMu.Lock()
	m.history.Leave(string(p))
	m.historyMu.Unlock()
	m.host.ConnManager().Unprotect(p, m.protection())
	for _, c := range m.host.Network().ConnsToPeer(p) {
		m.resetStreams(c)
	}
	m.log.Info("neighbour gone", "peer", p, "err", why)
	m.events.Publish(Event{Kind: EventPeerDown, Peer: p, Time: now, Err: why})
	if last {
		m.events.Publish(Event{Kind: EventDisconnect, Peer: p, Time: now, Err: why})
	}
	m.wakeLoop()
	signal(m.short)
}

// protection is the name under which the connection manager spares members.
func (m *Mesh) protection() string { return "go2p/" + m.tag }

// refused notes that a hello with p found no network in common.
func (m *Mesh) refused(p peer.ID, explicit bool) {
	if !explicit {
		m.log.Debug("stranger", "peer", p, "err", ErrNoCommonNetwork)
		return
	}
	if !m.stats.note(p, ErrNoCommonNetwork) {
		return // it tries again and again
	}
	m.log.Warn("connection refused", "peer", p, "err", ErrNoCommonNetwork)
	m.events.Publish(Event{Kind: EventRefused, Peer: p, Time: time.Now(), Err: ErrNoCommonNetwork})
}

// pingSilent pings members that are silent and gives up those that stay so.
func (m *Mesh) pingSilent(now time.Time) {
	var lost []peer.ID
	m.mu.Lock()
	pause := liveness.Patience(len(m.members))
	for p, mb := range m.members {
		ping, dead := mb.live.Advance(now, mb.lastHeard(), pause)
		if ping {
			mb.send(controlMessage{Kind: controlPing, Nonce: uint64(time.Since(m.epoch))})
		}
		if dead {
			lost = append(lost, p)
		}
	}
	m.mu.Unlock()
	for _, p := range lost {
		m.stats.note(p, ErrSilent)
		m.expel(p, ErrSilent)
		m.closeOwn(p)
	}
}

// closeOwn closes those connections to p that this peer dialled. The others are
// p's to close: two ends that close each other's would never settle.
func (m *Mesh) closeOwn(p peer.ID) {
	for _, c := range m.host.Network().ConnsToPeer(p) {
		if c.Stat().Direction == network.DirOutbound {
			m.wg.Go(func() { c.Close() }) // takes its time with a peer that does not answer
		}
	}
}
