package mesh

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// peerLists asks neighbours for lists of theirs, and answers their questions. Its mutex
// guards the lists that are waited for.
type peerLists struct {
	*tenant
	dialer *dialer

	mu      sync.Mutex
	waiting map[listQuery]chan []listedPeer
}

// A listQuery is a question to a member for its list.
type listQuery struct {
	member *member
	nonce  uint64
}

func newPeerLists(d *dialer) *peerLists {
	return &peerLists{tenant: d.tenant, dialer: d, waiting: map[listQuery]chan []listedPeer{}}
}

// handleWant answers a member's question: with the target first, if that is a member or
// was remembered, then others.
func (l *peerLists) handleWant(mb *member, nonce uint64, target peer.ID) {
	var ids []peer.ID
	if l.members.has(target) || l.dialer.knows(target) {
		ids = append(ids, target)
	}
	for _, p := range l.members.ids() {
		if len(ids) == maxListed {
			break
		}
		if p != mb.id && p != target {
			ids = append(ids, p)
		}
	}
	mb.send(controlMessage{Kind: controlPeers, Nonce: nonce, Peers: l.listed(ids)})
}

func (l *peerLists) listed(ids []peer.ID) []listedPeer {
	list := make([]listedPeer, 0, len(ids))
	size := 0
	for _, p := range ids {
		entry := listedPeer{ID: []byte(p)}
		for _, a := range l.dialer.addrs(p) {
			if size += len(a.Bytes()); len(entry.Addrs) == maxAddrs || size > maxAddrBytes {
				break
			}
			entry.Addrs = append(entry.Addrs, a.Bytes())
		}
		list = append(list, entry)
	}
	return list
}

// handlePeers takes the answer of a member.
func (l *peerLists) handlePeers(mb *member, nonce uint64, peers []listedPeer) {
	l.mu.Lock()
	q := listQuery{member: mb, nonce: nonce}
	answer := l.waiting[q]
	delete(l.waiting, q)
	l.mu.Unlock()
	if answer != nil {
		answer <- peers
	}
}

// ask asks a neighbour for its list, and for the target in particular.
func (l *peerLists) ask(ctx context.Context, p, target peer.ID) ([]peer.AddrInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	mb := l.members.get(p)
	if mb == nil {
		return nil, fmt.Errorf("%s: %w", p, ErrUnreachable)
	}
	q := listQuery{member: mb, nonce: rand.Uint64()}
	answer := make(chan []listedPeer, 1)
	l.mu.Lock()
	l.waiting[q] = answer
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.waiting, q)
	}()
	mb.send(controlMessage{Kind: controlWantPeers, Nonce: q.nonce, Target: []byte(target)})
	select {
	case list := <-answer:
		return addrInfos(list, l.id), nil
	case <-mb.gone:
		return nil, fmt.Errorf("%s: %w", p, ErrUnreachable)
	case <-ctx.Done():
		return nil, fmt.Errorf("%s did not send its list: %w", p, ctx.Err())
	}
}

// askAll asks several neighbours at a time for their lists.
func (l *peerLists) askAll(ctx context.Context, ps []peer.ID, target peer.ID) []peer.AddrInfo {
	var mu sync.Mutex
	var all []peer.AddrInfo
	var wg sync.WaitGroup
	for _, p := range ps {
		wg.Go(func() {
			list, err := l.ask(ctx, p, target)
			if err != nil {
				l.log.Debug("no peer list", "peer", p, "err", err)
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

// request is Mesh.RequestPeers.
func (l *peerLists) request(ctx context.Context) ([]peer.AddrInfo, error) {
	if l.ctx().Err() != nil {
		return nil, ErrClosed
	}
	known := map[peer.ID]peer.AddrInfo{}
	for _, p := range l.members.ids() {
		known[p] = l.dialer.info(p)
	}
	for _, info := range l.askAll(ctx, l.members.ids(), "") {
		if _, ok := known[info.ID]; !ok {
			known[info.ID] = info
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	list := make([]peer.AddrInfo, 0, len(known))
	for _, info := range known {
		list = append(list, info)
	}
	return list, nil
}

// addrInfos reads a list, leaving out what is no peer ID or address, and this peer.
func addrInfos(list []listedPeer, self peer.ID) []peer.AddrInfo {
	infos := make([]peer.AddrInfo, 0, len(list))
	for _, l := range list {
		p, err := peer.IDFromBytes(l.ID)
		if err != nil || p == self {
			continue
		}
		info := peer.AddrInfo{ID: p}
		for _, b := range l.Addrs {
			if a, err := ma.NewMultiaddrBytes(b); err == nil {
				info.Addrs = append(info.Addrs, a)
			}
		}
		infos = append(infos, info)
	}
	return infos
}
