package mesh

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/p2p-today/go2p/internal/notify"
	"github.com/p2p-today/go2p/mesh/internal/liveness"
)

// A membership owns the members of the network that this peer is connected to, and those
// who wait for one. Its loop pings silent members. Its mutex guards the members: a peer is
// in the map exactly as long as it is a member.
//
// Lock order: the mutex of membership, then that of dialer. Nothing else is locked with
// either held.
type membership struct {
	*local
	hooks memberHooks
	wake  notify.Flag // the loop looks at its deadlines again

	mu       sync.Mutex
	closed   bool
	members  map[peer.ID]*member
	admitted time.Time        // when the last member came
	waiting  map[peer.ID]int  // streams that wait for the hello of a peer
	changed  notify.Broadcast // a member came or subscribed, a peer refused, or the mesh was closed
}

// memberHooks are called when a member comes or goes.
type memberHooks struct {
	// joining and leaving are called with the mutex of membership held, so that a peer
	// is at no moment neither a member nor dialled. A member that left on purpose, or is
	// banned, is not to be dialled again.
	joining func(p peer.ID, now time.Time)
	leaving func(p peer.ID, now time.Time, redial bool)

	// joined and left are called after that, with the mutex released.
	joined func(p peer.ID, now time.Time)
	left   func(p peer.ID)
}

func newMembership(l *local, hooks memberHooks) *membership {
	return &membership{
		local: l, hooks: hooks, wake: notify.NewFlag(),
		members: map[peer.ID]*member{}, waiting: map[peer.ID]int{},
	}
}

// list returns the neighbours, sorted by ID.
func (ms *membership) list() []Peer {
	ms.mu.Lock()
	list := make([]Peer, 0, len(ms.members))
	for _, mb := range ms.members {
		list = append(list, Peer{ID: mb.id, RTT: time.Duration(mb.rtt.Load()), Since: mb.since, Skew: mb.skew})
	}
	ms.mu.Unlock()
	for i := range list {
		list[i].Path = PathRelay
		for _, c := range ms.host.Network().ConnsToPeer(list[i].ID) {
			list[i].Addrs = append(list[i].Addrs, c.RemoteMultiaddr())
			if _, err := c.RemoteMultiaddr().ValueForProtocol(ma.P_CIRCUIT); err != nil {
				list[i].Path = PathDirect
			}
		}
	}
	slices.SortFunc(list, func(a, b Peer) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return list
}

// ids returns the members, in no order.
func (ms *membership) ids() []peer.ID {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	ids := make([]peer.ID, 0, len(ms.members))
	for p := range ms.members {
		ids = append(ids, p)
	}
	return ids
}

// before returns the members that came before a time.
func (ms *membership) before(t time.Time) []*member {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	var list []*member
	for _, mb := range ms.members {
		if !mb.since.After(t) {
			list = append(list, mb)
		}
	}
	return list
}

func (ms *membership) count() int {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	return len(ms.members)
}

func (ms *membership) has(p peer.ID) bool { return ms.get(p) != nil }

// get returns a member, nil if the peer is none.
func (ms *membership) get(p peer.ID) *member {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	return ms.members[p]
}

// hear notes that something has arrived from a peer, if it is a member.
func (ms *membership) hear(p peer.ID) {
	if mb := ms.get(p); mb != nil {
		mb.hear()
	}
}

// send queues a control message for a peer, if it is a member.
func (ms *membership) send(p peer.ID, msg controlMessage) {
	if mb := ms.get(p); mb != nil {
		mb.send(msg)
	}
}

// isLimited reports whether a peer is connected by way of a relay only.
func (ms *membership) isLimited(p peer.ID) bool {
	return ms.host.Network().Connectedness(p) == network.Limited
}

// newStream opens a stream of this network to a member, over any connection.
func (ms *membership) newStream(ctx context.Context, p peer.ID, id protocol.ID) (network.Stream, error) {
	if !ms.has(p) {
		return nil, fmt.Errorf("%s is no member", p)
	}
	ctx = network.WithAllowLimitedConn(network.WithNoDial(ctx, "members are connected"), "go2p")
	s, err := ms.host.NewStream(ctx, p, onWire(id, ms.tag))
	if err != nil {
		return nil, err
	}
	if !ms.has(p) { // it left meanwhile, and expel has not seen this stream
		s.Reset()
		return nil, fmt.Errorf("%s is no member any more", p)
	}
	return s, nil
}

// resetStreams ends all streams of this network on a connection.
func (ms *membership) resetStreams(c network.Conn) {
	for _, s := range c.GetStreams() {
		if _, tag, _ := offWire(s.Protocol()); tag == ms.tag {
			s.Reset()
		}
	}
}

// awaitAny returns nil when there is a member, and waits for the first one until hopeless,
// which is called with the mutex held, returns an error.
func (ms *membership) awaitAny(ctx context.Context, hopeless func() error) error {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	for len(ms.members) == 0 {
		if ms.closed {
			return ErrClosed
		}
		if err := hopeless(); err != nil {
			return err
		}
		if !ms.awaitChange(ctx) {
			return ctx.Err()
		}
	}
	return nil
}

// awaitMember waits until p is a member, for as long as a hello may take.
func (ms *membership) awaitMember(p peer.ID) bool {
	ctx, cancel := context.WithTimeout(ms.ctx(), helloTimeout)
	defer cancel()
	ms.mu.Lock()
	defer ms.mu.Unlock()
	if ms.members[p] == nil && ms.waiting[p] == maxWaiting {
		return false
	}
	ms.waiting[p]++
	defer func() {
		if ms.waiting[p]--; ms.waiting[p] == 0 {
			delete(ms.waiting, p)
		}
	}()
	for ms.members[p] == nil {
		if !ms.awaitChange(ctx) {
			return false
		}
	}
	return true
}

// awaitSubscribers waits for members of less than a second whose subscription has
// not arrived: what is published before would pass them by.
func (ms *membership) awaitSubscribers(ctx context.Context) error {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	for {
		if ms.closed {
			return ErrClosed
		}
		if err := ctx.Err(); err != nil || time.Since(ms.admitted) >= settle {
			return err
		}
		var until time.Time
		for _, mb := range ms.members {
			direct := ms.host.Network().Connectedness(mb.id) == network.Connected
			if end := mb.since.Add(settle); direct && !mb.subscribed && end.After(until) {
				until = end
			}
		}
		if !time.Now().Before(until) {
			return nil
		}
		wait, cancel := context.WithDeadline(ctx, until)
		ms.awaitChange(wait)
		cancel()
	}
}

// awaitChange waits, with the mutex released, for the next change. The caller holds the
// mutex.
func (ms *membership) awaitChange(ctx context.Context) bool {
	changed := ms.changed.C()
	ms.mu.Unlock()
	defer ms.mu.Lock()
	select {
	case <-changed:
		return true
	case <-ctx.Done():
		return false
	}
}

// notify has all that wait for a change look again.
func (ms *membership) notify() {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	ms.changed.Notify()
}

// setSubscribed notes whether gossipsub knows a member as a subscriber.
func (ms *membership) setSubscribed(p peer.ID, subscribed bool) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	if mb := ms.members[p]; mb != nil {
		mb.subscribed = subscribed
		ms.changed.Notify()
	}
}

// admit makes p a member, which it stays if it is one.
func (ms *membership) admit(p peer.ID, skew time.Duration) {
	now := time.Now()
	mb := newMember(p, ms.epoch, now, skew)
	ms.mu.Lock()
	if ms.closed || ms.members[p] != nil {
		ms.mu.Unlock()
		return
	}
	first := len(ms.members) == 0
	ms.members[p] = mb
	ms.admitted = now
	ms.hooks.joining(p, now)
	ms.writeControl(mb)
	ms.changed.Notify()
	ms.mu.Unlock()

	ms.host.ConnManager().Protect(p, ms.protection())
	ms.log.Info("neighbour", "peer", p)
	ms.hooks.joined(p, now)
	ms.events.Publish(Event{Kind: EventPeerUp, Peer: p, Time: now})
	if first {
		ms.events.Publish(Event{Kind: EventConnect, Peer: p, Time: now})
	}
	ms.wake.Set()
}

// writeControl starts to write what a member is sent.
func (ms *membership) writeControl(mb *member) {
	w := &controlWriter{
		out: mb.out, gone: mb.gone, log: ms.log.With("peer", mb.id),
		open: func(ctx context.Context) (network.Stream, error) { return ms.newStream(ctx, mb.id, ControlProtocol) },
	}
	ms.group.Go(func() { w.run(ms.ctx()) })
}

// expel ends the membership of p, if there is one. Unless it was meant to end,
// p is dialled again.
func (ms *membership) expel(p peer.ID, why error) {
	now := time.Now()
	ms.mu.Lock()
	mb := ms.members[p]
	if mb == nil {
		ms.mu.Unlock()
		return
	}
	delete(ms.members, p)
	close(mb.gone)
	last := len(ms.members) == 0
	meant := ms.closed || errors.Is(why, ErrLeft) || errors.Is(why, ErrOffended)
	ms.hooks.leaving(p, now, !meant)
	ms.mu.Unlock()

	ms.host.ConnManager().Unprotect(p, ms.protection())
	for _, c := range ms.host.Network().ConnsToPeer(p) {
		ms.resetStreams(c)
	}
	ms.log.Info("neighbour gone", "peer", p, "err", why)
	ms.hooks.left(p)
	ms.events.Publish(Event{Kind: EventPeerDown, Peer: p, Time: now, Err: why})
	if last {
		ms.events.Publish(Event{Kind: EventDisconnect, Peer: p, Time: now, Err: why})
	}
	ms.wake.Set()
}

// protection is the name under which the connection manager spares members.
func (ms *membership) protection() string { return "go2p/" + ms.tag }

// close lets nobody become a member any more.
func (ms *membership) close() {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	ms.closed = true
	ms.changed.Notify()
}

// run pings silent members until the mesh ends.
func (ms *membership) run() {
	ms.loop(ms.wake, func(now time.Time) time.Time {
		ms.pingSilent(now)
		return ms.deadline(now)
	})
}

// pingSilent pings members that are silent and gives up those that stay so.
func (ms *membership) pingSilent(now time.Time) {
	var lost []peer.ID
	ms.mu.Lock()
	patience := liveness.Patience(len(ms.members))
	for p, mb := range ms.members {
		effects := mb.live.Advance(now, mb.lastHeard(), patience)
		if effects.Ping {
			mb.send(controlMessage{Kind: controlPing, Nonce: uint64(time.Since(ms.epoch))})
		}
		if effects.Lost {
			lost = append(lost, p)
		}
	}
	ms.mu.Unlock()
	for _, p := range lost {
		ms.stats.note(p, ErrSilent)
		ms.expel(p, ErrSilent)
		ms.closeOwn(p)
	}
}

// deadline returns when a member is to be pinged or given up next, in an hour at most.
func (ms *membership) deadline(now time.Time) time.Time {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	first := now.Add(time.Hour)
	patience := liveness.Patience(len(ms.members))
	for _, mb := range ms.members {
		if d := mb.live.Deadline(mb.lastHeard(), patience); d.Before(first) {
			first = d
		}
	}
	return first
}

// closeOwn closes those connections to p that this peer dialled. The others are
// p's to close: two ends that close each other's would never settle.
func (ms *membership) closeOwn(p peer.ID) {
	for _, c := range ms.host.Network().ConnsToPeer(p) {
		if c.Stat().Direction == network.DirOutbound {
			ms.group.Go(func() { c.Close() }) // takes its time with a peer that does not answer
		}
	}
}
