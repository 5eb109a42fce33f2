package mesh

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/multiformats/go-multistream"

	"github.com/p2p-today/go2p/internal/notify"
	"github.com/p2p-today/go2p/mesh/internal/redial"
)

// A dialer owns who is dialled: the redials, the addresses of former neighbours, and the
// peers in Options.Join that have refused. Its loop dials the peers that are due and saves
// the addresses. Its mutex guards all that; it is locked with the mutex of membership held,
// never the other way round.
type dialer struct {
	*tenant
	join []peer.AddrInfo
	wake notify.Flag // the loop looks at its deadlines again

	mu        sync.Mutex
	redials   *redial.Schedule
	addresses addressBook
	refusals  map[peer.ID]error // of peers in join, until they admit
}

func newDialer(t *tenant, join []peer.AddrInfo, addresses addressBook) *dialer {
	d := &dialer{
		tenant: t, join: join, wake: notify.NewFlag(),
		redials: redial.New(newRand()), addresses: addresses, refusals: map[peer.ID]error{},
	}
	for _, ai := range join {
		d.redials.Add(t.epoch, string(ai.ID))
	}
	for _, p := range addresses.ids() {
		d.redials.Add(t.epoch, string(p))
	}
	return d
}

// run dials the peers that are due, and saves the addresses, until the mesh ends.
func (d *dialer) run() {
	d.loop(d.wake, func(now time.Time) time.Time {
		d.redialDue(now)
		d.save()
		return d.deadline(now)
	})
	d.save()
}

// deadline returns when a peer is to be dialled next, in an hour at most.
func (d *dialer) deadline(now time.Time) time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	first := now.Add(time.Hour)
	if next := d.redials.Deadline(); !next.IsZero() && next.Before(first) {
		first = next
	}
	return first
}

func (d *dialer) save() {
	d.mu.Lock()
	f, changed := d.addresses.changed()
	d.mu.Unlock()
	if !changed {
		return
	}
	if err := d.addresses.save(f); err != nil {
		d.log.Warn("cannot save the remembered peers", "err", err)
	}
}

// joining notes that a peer becomes a member. The mutex of membership is held.
func (d *dialer) joining(p peer.ID, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.redials.Remove(string(p))
	delete(d.refusals, p)
	d.addresses.note(p, d.host.Peerstore().Addrs(p), now, func(oldest peer.ID) {
		if !d.joins(oldest) {
			d.redials.Remove(string(oldest))
		}
	})
}

// leaving notes that a peer is no member any more. The mutex of membership is held.
func (d *dialer) leaving(p peer.ID, now time.Time, redial bool) {
	if redial {
		d.redialAt(p, now)
	}
}

// redialAt has a peer dialled from a time on, unless it is dialled already.
func (d *dialer) redialAt(p peer.ID, t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.redials.Add(t, string(p))
}

// forget calls the redialling of a peer off.
func (d *dialer) forget(p peer.ID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.redials.Remove(string(p))
}

// redialling returns how many peers are dialled again and again.
func (d *dialer) redialling() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.redials.Len()
}

// knows reports whether the addresses of a peer are remembered.
func (d *dialer) knows(p peer.ID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, known := d.addresses.peers[p]
	return known
}

// addrs returns the addresses under which p may be found.
func (d *dialer) addrs(p peer.ID) []ma.Multiaddr {
	addrs := d.host.Peerstore().Addrs(p)
	for _, ai := range d.join {
		if ai.ID == p {
			addrs = append(addrs, ai.Addrs...)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return ma.Unique(append(addrs, d.addresses.addrs(p)...))
}

// info returns where p may be found.
func (d *dialer) info(p peer.ID) peer.AddrInfo { return peer.AddrInfo{ID: p, Addrs: d.addrs(p)} }

// joins reports whether p is one of the peers to join.
func (d *dialer) joins(p peer.ID) bool {
	return slices.ContainsFunc(d.join, func(ai peer.AddrInfo) bool { return ai.ID == p })
}

// allRefused reports whether each of the peers to join has refused.
func (d *dialer) allRefused() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, ai := range d.join {
		if d.refusals[ai.ID] == nil {
			return false
		}
	}
	return len(d.join) > 0
}

// hopeless returns why there is no use in waiting for a neighbour, if there is none. The
// mutex of membership is held.
func (d *dialer) hopeless() error {
	switch {
	case d.redialling() == 0:
		return ErrAlone
	case d.allRefused():
		return ErrNoCommonNetwork
	}
	return nil
}

// connect makes a peer a member. With explicit, a user has asked for it.
func (d *dialer) connect(ctx context.Context, to peer.AddrInfo, explicit bool) error {
	if d.ctx().Err() != nil {
		return ErrClosed
	}
	if to.ID == d.id {
		return errors.New("that is this peer itself")
	}
	ctx = network.WithAllowLimitedConn(ctx, "go2p")
	if d.members.has(to.ID) && d.members.isLimited(to.ID) {
		ctx = network.WithForceDirectDial(ctx, "a relay is there already")
	}
	if err := d.host.Connect(ctx, to); err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	if d.members.has(to.ID) {
		return nil
	}
	o, err := d.mux.sayHello(ctx, to.ID, explicit)
	if unsupported, ok := errors.AsType[multistream.ErrNotSupported[protocol.ID]](err); ok {
		d.refused(to.ID, explicit)
		return fmt.Errorf("%w (it does not speak %v)", ErrNoCommonNetwork, unsupported.Protos)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	d.mux.settle(to.ID, o)
	if o.has(d.tenant) {
		return nil
	}
	if !o.noneCommon() { // else settle has told all networks
		d.refused(to.ID, explicit)
	}
	return ErrNoCommonNetwork
}

// redialDue dials those whose turn it is, in the background.
func (d *dialer) redialDue(now time.Time) {
	d.mu.Lock()
	effects := d.redials.Advance(now)
	d.mu.Unlock()
	for _, id := range effects.Dial {
		d.group.Go(func() { d.redial(peer.ID(id)) })
	}
}

func (d *dialer) redial(p peer.ID) {
	ctx, cancel := context.WithTimeout(d.ctx(), dialTimeout)
	defer cancel()
	explicit := d.shouldJoin(p)
	err := d.connect(ctx, d.info(p), explicit)
	if err == nil {
		d.forget(p)
	} else {
		if d.joins(p) && d.stats.note(p, err) && !errors.Is(err, ErrNoCommonNetwork) {
			d.log.Warn("cannot join, will try again", "peer", p, "err", err)
		}
		d.log.Debug("redial failed", "peer", p, "err", err)
		d.failed(p, err, explicit && errors.Is(err, ErrNoCommonNetwork))
	}
	d.wake.Set()
}

// shouldJoin reports whether p is one of the peers to join, and has not refused
// already: the ends are told once, not with each redial.
func (d *dialer) shouldJoin(p peer.ID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.joins(p) && d.refusals[p] == nil
}

// failed notes that a peer could not be dialled, or has refused.
func (d *dialer) failed(p peer.ID, err error, refused bool) {
	d.mu.Lock()
	d.redials.Failed(time.Now(), string(p))
	if refused {
		d.refusals[p] = err
	}
	d.mu.Unlock()
	if refused {
		d.members.notify()
	}
}

// connectSome connects to at most n of the peers that are no members yet.
func (d *dialer) connectSome(ctx context.Context, infos []peer.AddrInfo, n int) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	var wg sync.WaitGroup
	tried := map[peer.ID]bool{d.id: true}
	for _, info := range infos {
		if tried[info.ID] || d.members.has(info.ID) || d.bans.has(info.ID) {
			continue
		}
		if len(tried) > n {
			break
		}
		tried[info.ID] = true
		wg.Go(func() {
			if err := d.connect(ctx, info, false); err != nil {
				d.log.Debug("cannot connect", "peer", info.ID, "err", err)
			}
		})
	}
	wg.Wait()
}

// upgrade tries to connect directly to those that are behind a relay.
func (d *dialer) upgrade(members []peer.ID) {
	ctx, cancel := context.WithTimeout(d.ctx(), dialTimeout)
	defer cancel()
	var wg sync.WaitGroup
	for _, p := range members {
		if d.members.isLimited(p) {
			wg.Go(func() {
				if err := d.connect(ctx, d.info(p), false); err != nil {
					d.log.Debug("still behind a relay", "peer", p, "err", err)
				}
			})
		}
	}
	wg.Wait()
}
