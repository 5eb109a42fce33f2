package chord

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/chord/internal/ring"
	"github.com/p2p-today/go2p/internal/notify"
	"github.com/p2p-today/go2p/mesh"
)

// neighbours are the neighbours in the mesh, and what has come of greeting them: each has
// the same K as this peer, or was refused, or has not answered yet. Its lock guards the maps.
type neighbours struct {
	mesh *mesh.Mesh // nil in a simulation, which has no neighbours
	k    ring.Circle
	log  *slog.Logger
	emit func(Event)
	news *notify.Broadcast // somebody was greeted, or has gone

	refused atomic.Pointer[RefusedError] // one of them, while all that were greeted are refused

	mu      sync.Mutex
	up      map[peer.ID]bool
	greeted map[peer.ID]*RefusedError // nil for those with the same K
}

func newNeighbours(m *mesh.Mesh, k ring.Circle, log *slog.Logger, emit func(Event)) *neighbours {
	return &neighbours{
		mesh: m, k: k, log: log, emit: emit, news: &notify.Broadcast{},
		up: map[peer.ID]bool{}, greeted: map[peer.ID]*RefusedError{},
	}
}

// peers returns the neighbours as the mesh has them.
func (n *neighbours) peers() (all []peer.ID) {
	if n.mesh != nil {
		for _, p := range n.mesh.Peers() {
			all = append(all, p.ID)
		}
	}
	return all
}

// await returns when there is a neighbour. Errors: those of mesh.Mesh.AwaitNeighbour.
func (n *neighbours) await(ctx context.Context) error { return n.mesh.AwaitNeighbour(ctx) }

// answered returns how many neighbours have answered a greeting.
func (n *neighbours) answered() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.greeted)
}

// refusal returns why there is no table for this peer: all its neighbours were refused. It
// takes no lock.
func (n *neighbours) refusal() error {
	if err := n.refused.Load(); err != nil {
		return err
	}
	return nil
}

func (n *neighbours) add(p peer.ID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.up[p] = true
}

func (n *neighbours) remove(p peer.ID) {
	n.mu.Lock()
	delete(n.up, p)
	delete(n.greeted, p)
	n.judge()
	n.mu.Unlock()
	n.news.Notify()
}

// accept notes that a peer has the same K.
func (n *neighbours) accept(p peer.ID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.up[p] {
		n.greeted[p] = nil
		n.judge()
	}
}

// refuse notes that a peer has another K, and reports it once while it is a neighbour.
func (n *neighbours) refuse(p peer.ID, theirs int) error {
	err := &RefusedError{p.String(), int(n.k), theirs}
	n.mu.Lock()
	if was := n.greeted[p]; was == nil || *was != *err {
		n.log.Warn("table not shared", "peer", p, "err", err)
		n.emit(Event{Kind: EventRefused, Peer: p.String(), Err: err})
	}
	n.greeted[p] = err
	n.judge()
	n.mu.Unlock()
	n.news.Notify()
	return err
}

// judge finds out whether all were refused. The caller holds mu.
func (n *neighbours) judge() {
	var why *RefusedError
	for _, err := range n.greeted {
		if why = err; err == nil {
			break
		}
	}
	n.refused.Store(why)
}
