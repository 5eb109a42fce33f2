package chord

import (
	"errors"
	"iter"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/chord/internal/ring"
	"github.com/p2p-today/go2p/chord/internal/schedule"
	"github.com/p2p-today/go2p/internal/lifecycle"
	"github.com/p2p-today/go2p/mesh"
)

const sweepPause = time.Hour // between looks for deletions that need not be remembered

// An upkeep keeps this node's part of the ring in order: its loop does what the node's
// schedule says is due. It has no state of its own.
type upkeep struct {
	node     *node
	client   *client
	walker   *walker
	transfer *transfer
	joiner   *joiner
	life     *lifecycle.Group
}

// run is the loop.
func (u *upkeep) run() {
	due := time.NewTimer(0)
	defer due.Stop()
	sweep := time.NewTicker(sweepPause)
	defer sweep.Stop()
	for {
		select {
		case <-u.life.Context().Done():
			return
		case <-u.node.wake.C():
		case <-due.C:
		case now := <-sweep.C:
			u.node.sweep(now)
		}
		e, next := u.node.advance(time.Now())
		u.perform(e)
		due.Reset(time.Until(next))
	}
}

// perform does what is due, in the background.
func (u *upkeep) perform(e schedule.Effects) {
	ctx := u.life.Context()
	if e.Announce {
		u.joiner.announce()
	}
	for _, n := range e.Greet {
		u.client.greetLater(peer.ID(n.Peer))
	}
	for _, l := range e.Look {
		u.look(l)
	}
	if e.Rejoin {
		u.life.Go(func() { u.joiner.rejoin(ctx) })
	}
	if e.Backfill {
		u.life.Go(func() { u.transfer.backfill(ctx) })
	}
	if e.HandOff {
		u.life.Go(func() { u.transfer.handOff(ctx) })
	}
}

// look does a lookup. What it finds the node learns from the replies.
func (u *upkeep) look(l *ring.Lookup) {
	u.life.Go(func() { u.walker.lookup(u.life.Context(), l) })
}

// follow greets peers that become neighbours in the mesh, and nodes that cease to be.
func (u *upkeep) follow(m *mesh.Mesh, events iter.Seq2[mesh.Event, error]) {
	for ev, err := range events {
		switch {
		case errors.Is(err, mesh.ErrLagged):
			u.begin(m)
			return
		case err != nil:
			return
		case ev.Kind == mesh.EventPeerUp:
			u.neighbourUp(ev.Peer)
		case ev.Kind == mesh.EventPeerDown:
			u.neighbourDown(ev.Peer)
		}
	}
}

// begin follows the mesh from now on.
func (u *upkeep) begin(m *mesh.Mesh) {
	events := m.Events(u.life.Context())
	for _, p := range m.Peers() {
		u.neighbourUp(p.ID)
	}
	u.life.Go(func() { u.follow(m, events) })
}

// neighbourUp greets a neighbour: it may store, and know others.
func (u *upkeep) neighbourUp(p peer.ID) {
	u.node.neighbours.add(p)
	u.client.greetLater(p)
}

// neighbourDown finds out whether a node that is needed is gone.
func (u *upkeep) neighbourDown(p peer.ID) {
	u.node.neighbours.remove(p)
	if u.node.knows(p) {
		u.client.suspect(p)
	}
}
