package mesh

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/discovery"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/multiformats/go-multistream"
)

// Connect connects to a peer and returns when it is a member, of this network,
// at both ends. To a member that is behind a relay it tries to connect directly. It
// lifts an earlier Disconnect. Errors: ErrUnreachable,
// ErrNoCommonNetwork (the other end reports it, too), ErrClosed, or the context's.
func (m *Mesh) Connect(ctx context.Context, to peer.AddrInfo) error {
	m.liftDisconnect(to.ID)
	if err := m.connect(ctx, to, true); err != nil {
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
	if !m.isMember(p) {
		return fmt.Errorf("mesh: disconnect %s: not a neighbour", p)
	}
	m.mu.Lock()
	m.disconnected[p] = true
	m.redials.Remove(string(p))
	m.mu.Unlock()
	m.hostmux.renew(p) // tells p
	m.expel(p, ErrLeft)
	return nil
}

func (m *Mesh) connect(ctx context.Context, to peer.AddrInfo, explicit bool) error {
	if m.ctx.Err() != nil {
		return ErrClosed
	}
	if to.ID == m.ID() {
		return errors.New("that is this peer itself")
	}
	ctx = network.WithAllowLimitedConn(ctx, "go2p")
	if m.isMember(to.ID) && m.host.Network().Connectedness(to.ID) == network.Limited {
		ctx = network.WithForceDirectDial(ctx, "a relay is there already")
	}
	if err := m.host.Connect(ctx, to); err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	if m.isMember(to.ID) {
		return nil
	}
	g, err := m.hostmux.sayHello(ctx, to.ID, explicit)
	if unsupported, ok := errors.AsType[multistream.ErrNotSupported[protocol.ID]](err); ok {
		m.refused(to.ID, explicit)
		return fmt.Errorf("%w (it does not speak %v)", ErrNoCommonNetwork, unsupported.Protos)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	m.hostmux.settle(to.ID, g)
	if g.common[m] {
		return nil
	}
	if !g.stranger() { // else settle has told all networks
		m.refused(to.ID, explicit)
	}
	return ErrNoCommonNetwork
}

// redialDue dials those whose turn it is, in the background.
func (m *Mesh) redialDue(now time.Time) {
	m.mu.Lock()
	due := m.redials.Due(now)
	m.mu.Unlock()
	for _, id := range due {
		m.wg.Go(func() { m.redial(peer.ID(id)) })
	}
}

func (m *Mesh) redial(p peer.ID) {
	ctx, cancel := context.WithTimeout(m.ctx, dialTimeout)
	defer cancel()
	explicit := m.shouldJoin(p)
	err := m.connect(ctx, peer.AddrInfo{ID: p, Addrs: m.addrs(p)}, explicit)
	if err == nil {
		m.mu.Lock()
		m.redials.Remove(string(p))
		m.mu.Unlock()
	} else {
		if m.joins(p) && m.stats.note(p, err) && !errors.Is(err, ErrNoCommonNetwork) {
			m.log.Warn("cannot join, will try again", "peer", p, "err", err)
		}
		m.log.Debug("redial failed", "peer", p, "err", err)
		m.mu.Lock()
		m.redials.Failed(time.Now(), string(p))
		if explicit && errors.Is(err, ErrNoCommonNetwork) {
			m.refusals[p] = err
			m.notifyChange()
		}
		m.mu.Unlock()
	}
	m.wakeLoop()
}

// shouldJoin tells whether p is one of the peers to join, unless it has refused
// already: the ends are told once, not with each redial.
func (m *Mesh) shouldJoin(p peer.ID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.joins(p) && m.refusals[p] == nil
}

func (m *Mesh) joins(p peer.ID) bool {
	for _, ai := range m.opts.Join {
		if ai.ID == p {
			return true
		}
	}
	return false
}

// allRefused tells whether each of the peers to join has refused. The caller holds
// mu.
func (m *Mesh) allRefused() bool {
	for _, ai := range m.opts.Join {
		if m.refusals[ai.ID] == nil {
			return false
		}
	}
	return len(m.opts.Join) > 0
}

// forget is told of a peer that the book has no room for any more. The caller
// holds mu.
func (m *Mesh) forget(p peer.ID) {
	if !m.joins(p) {
		m.redials.Remove(string(p))
	}
}

// addrs returns the addresses under which p may be found.
func (m *Mesh) addrs(p peer.ID) []ma.Multiaddr {
	addrs := m.host.Peerstore().Addrs(p)
	for _, ai := range m.opts.Join {
		if ai.ID == p {
			addrs = append(addrs, ai.Addrs...)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return ma.Unique(append(addrs, m.addresses.addrs(p)...))
}

// RequestPeers asks all neighbours for theirs and returns the peers of the
// network that are known now, this peer not among them, neighbours included, in no
// particular order. Neighbours that do not answer within five seconds are left
// out. The addresses are hearsay.
func (m *Mesh) RequestPeers(ctx context.Context) ([]peer.AddrInfo, error) {
	if m.ctx.Err() != nil {
		return nil, fmt.Errorf("mesh: request peers: %w", ErrClosed)
	}
	known := map[peer.ID]peer.AddrInfo{}
	for _, p := range m.memberIDs() {
		known[p] = peer.AddrInfo{ID: p, Addrs: m.addrs(p)}
	}
	for _, info := range m.askAll(ctx, m.memberIDs(), "") {
		if _, ok := known[info.ID]; !ok {
			known[info.ID] = info
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("mesh: request peers: %w", err)
	}
	list := make([]peer.AddrInfo, 0, len(known))
	for _, info := range known {
		list = append(list, info)
	}
	return list, nil
}

// askAll asks several neighbours at a time for their lists.
func (m *Mesh) askAll(ctx context.Context, ps []peer.ID, target peer.ID) []peer.AddrInfo {
	var mu sync.Mutex
	var all []peer.AddrInfo
	var wg sync.WaitGroup
	for _, p := range ps {
		wg.Go(func() {
			list, err := m.askList(ctx, p, target)
			if err != nil {
				m.log.Debug("no peer list", "peer", p, "err", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, list...)
		})
	}
	wg.Wait()
	return all
}

const (
	searchRounds = 3  // how many circles of neighbours' neighbours are asked
	searchWidth  = 16 // how many peers of a circle
)

// reach makes p a member, wherever it is.
func (m *Mesh) reach(ctx context.Context, p peer.ID) error {
	if m.isMember(p) && m.host.Network().Connectedness(p) != network.NotConnected {
		return nil
	}
	err := m.connect(ctx, peer.AddrInfo{ID: p, Addrs: m.addrs(p)}, false)
	if err == nil || errors.Is(err, ErrNoCommonNetwork) || errors.Is(err, ErrClosed) {
		return err
	}
	asked := map[peer.ID]bool{}
	for range searchRounds {
		circle := m.circle(asked)
		if len(circle) == 0 {
			break
		}
		listed := m.askAll(ctx, circle, p)
		for _, info := range listed {
			if info.ID == p && m.connect(ctx, info, false) == nil {
				return nil
			}
		}
		m.connectSome(ctx, listed, searchWidth)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if m.opts.PeerRouting != nil {
		if info, err := m.opts.PeerRouting.FindPeer(ctx, p); err == nil && m.connect(ctx, info, false) == nil {
			return nil
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// circle returns members that were not asked yet, and notes them as asked.
func (m *Mesh) circle(asked map[peer.ID]bool) []peer.ID {
	var ps []peer.ID
	for _, p := range m.memberIDs() {
		if !asked[p] && len(ps) < searchWidth {
			asked[p] = true
			ps = append(ps, p)
		}
	}
	return ps
}

// connectSome connects to at most n of the peers that are no members yet.
func (m *Mesh) connectSome(ctx context.Context, infos []peer.AddrInfo, n int) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	var wg sync.WaitGroup
	tried := map[peer.ID]bool{m.ID(): true}
	for _, info := range infos {
		if tried[info.ID] || m.isMember(info.ID) || m.banned(info.ID) {
			continue
		}
		if len(tried) > n {
			break
		}
		tried[info.ID] = true
		wg.Go(func() {
			if err := m.connect(ctx, info, false); err != nil {
				m.log.Debug("cannot connect", "peer", info.ID, "err", err)
			}
		})
	}
	wg.Wait()
}

const (
	lookAround = 30 * time.Second // between attempts to get more neighbours
	pause      = time.Second      // after a change, so that several changes cause one attempt
)

// seekNeighbours connects to neighbours' neighbours while there are too few, and directly
// to those behind a relay when that becomes possible.
func (m *Mesh) seekNeighbours() {
	for {
		select {
		case <-m.ctx.Done():
			return
		case <-m.short:
			if !sleep(m.ctx, pause) {
				return
			}
		case <-time.After(lookAround):
		}
		members := m.memberIDs()
		m.upgrade(members)
		if missing := m.opts.Neighbours - len(members); missing > 0 && len(members) > 0 {
			m.connectSome(m.ctx, m.askAll(m.ctx, members, ""), missing)
		}
	}
}

// upgrade tries to connect directly to those that are behind a relay.
func (m *Mesh) upgrade(members []peer.ID) {
	ctx, cancel := context.WithTimeout(m.ctx, dialTimeout)
	defer cancel()
	var wg sync.WaitGroup
	for _, p := range members {
		if m.host.Network().Connectedness(p) == network.Limited {
			wg.Go(func() {
				if err := m.connect(ctx, peer.AddrInfo{ID: p, Addrs: m.addrs(p)}, false); err != nil {
					m.log.Debug("still behind a relay", "peer", p, "err", err)
				}
			})
		}
	}
	wg.Wait()
}

// sleep waits, and tells whether the context still goes on.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// rendezvous is the name under which members find each other in a discovery
// service; only they can derive it.
func (m *Mesh) rendezvous() string { return "/go2p/" + m.tag }

const advertiseTTL = time.Hour

func (m *Mesh) advertise() {
	for {
		wait, err := m.opts.Discovery.Advertise(m.ctx, m.rendezvous(), discovery.TTL(advertiseTTL))
		if err != nil {
			m.log.Debug("cannot advertise", "err", err)
			wait = time.Minute
		}
		if !sleep(m.ctx, max(wait*7/8, time.Minute)) {
			return
		}
	}
}

func (m *Mesh) discover() {
	for {
		found, err := m.opts.Discovery.FindPeers(m.ctx, m.rendezvous())
		if err != nil {
			m.log.Debug("cannot discover", "err", err)
		} else {
			for info := range found {
				m.host.Peerstore().AddAddrs(info.ID, info.Addrs, peerstore.TempAddrTTL)
				if len(m.memberIDs()) < m.opts.Neighbours {
					m.connectSome(m.ctx, []peer.AddrInfo{info}, 1)
				}
			}
		}
		if !sleep(m.ctx, 2*lookAround) {
			return
		}
	}
}
