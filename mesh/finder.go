package mesh

import (
	"context"
	"errors"
	"time"

	"github.com/libp2p/go-libp2p/core/discovery"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/routing"

	"github.com/p2p-today/go2p/internal/lifecycle"
	"github.com/p2p-today/go2p/internal/notify"
)

// A finder finds peers of the network: a certain one to whisper to, and more neighbours
// while there are too few. It has no state.
type finder struct {
	*tenant
	dialer     *dialer
	lists      *peerLists
	neighbours int // as many are wanted
	discovery  discovery.Discovery
	routing    routing.PeerRouting
	short      notify.Flag // there may be too few neighbours
}

func newFinder(lists *peerLists, opts *Options) *finder {
	return &finder{
		tenant: lists.tenant, dialer: lists.dialer, lists: lists, neighbours: opts.Neighbours,
		discovery: opts.Discovery, routing: opts.PeerRouting, short: notify.NewFlag(),
	}
}

// start seeks neighbours until the mesh ends.
func (f *finder) start() {
	f.group.Go(f.seekNeighbours)
	if f.discovery != nil {
		f.group.Go(f.advertise)
		f.group.Go(f.discover)
	}
}

const (
	searchRounds = 3  // how many circles of neighbours' neighbours are asked
	searchWidth  = 16 // how many peers of a circle
)

// reach makes p a member, wherever it is.
func (f *finder) reach(ctx context.Context, p peer.ID) error {
	if f.members.has(p) && f.host.Network().Connectedness(p) != network.NotConnected {
		return nil
	}
	err := f.dialer.connect(ctx, f.dialer.info(p), false)
	if err == nil || errors.Is(err, ErrNoCommonNetwork) || errors.Is(err, ErrClosed) {
		return err
	}
	asked := map[peer.ID]bool{}
	for range searchRounds {
		circle := f.circle(asked)
		if len(circle) == 0 {
			break
		}
		listed := f.lists.askAll(ctx, circle, p)
		for _, info := range listed {
			if info.ID == p && f.dialer.connect(ctx, info, false) == nil {
				return nil
			}
		}
		f.dialer.connectSome(ctx, listed, searchWidth)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if f.routing != nil {
		if info, err := f.routing.FindPeer(ctx, p); err == nil && f.dialer.connect(ctx, info, false) == nil {
			return nil
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// circle returns members that were not asked yet, and notes them as asked.
func (f *finder) circle(asked map[peer.ID]bool) []peer.ID {
	var ps []peer.ID
	for _, p := range f.members.ids() {
		if !asked[p] && len(ps) < searchWidth {
			asked[p] = true
			ps = append(ps, p)
		}
	}
	return ps
}

const (
	lookAround = 30 * time.Second // between attempts to get more neighbours
	pause      = time.Second      // after a change, so that several changes cause one attempt
)

// seekNeighbours connects to neighbours' neighbours while there are too few, and directly
// to those behind a relay when that becomes possible.
func (f *finder) seekNeighbours() {
	for {
		select {
		case <-f.ctx().Done():
			return
		case <-f.short.C():
			if lifecycle.Sleep(f.ctx(), pause) != nil {
				return
			}
		case <-time.After(lookAround):
		}
		members := f.members.ids()
		f.dialer.upgrade(members)
		if missing := f.neighbours - len(members); missing > 0 && len(members) > 0 {
			f.dialer.connectSome(f.ctx(), f.lists.askAll(f.ctx(), members, ""), missing)
		}
	}
}

// rendezvous is the name under which members find each other in a discovery
// service; only they can derive it.
func (f *finder) rendezvous() string { return "/go2p/" + f.tag }

const advertiseTTL = time.Hour

func (f *finder) advertise() {
	for {
		wait, err := f.discovery.Advertise(f.ctx(), f.rendezvous(), discovery.TTL(advertiseTTL))
		if err != nil {
			f.log.Debug("cannot advertise", "err", err)
			wait = time.Minute
		}
		if lifecycle.Sleep(f.ctx(), max(wait*7/8, time.Minute)) != nil {
			return
		}
	}
}

func (f *finder) discover() {
	for {
		found, err := f.discovery.FindPeers(f.ctx(), f.rendezvous())
		if err != nil {
			f.log.Debug("cannot discover", "err", err)
		} else {
			for info := range found {
				f.host.Peerstore().AddAddrs(info.ID, info.Addrs, peerstore.TempAddrTTL)
				if f.members.count() < f.neighbours {
					f.dialer.connectSome(f.ctx(), []peer.AddrInfo{info}, 1)
				}
			}
		}
		if lifecycle.Sleep(f.ctx(), 2*lookAround) != nil {
			return
		}
	}
}
