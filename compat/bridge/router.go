package bridge

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/compat/internal/legacy"
	"github.com/p2p-today/go2p/mesh"
)

// ErrNoBridge is for an old node of a network from which nobody relays.
var ErrNoBridge = errors.New("no bridge to that network is known")

const maxSubnets = 256 // of other bridges; then all are forgotten

// A router knows the ways of whispers to old nodes: a link, or another bridge. mu guards bridges.
type router struct {
	self  peer.ID
	links *links
	log   *slog.Logger

	mu      sync.Mutex
	bridges map[string]peer.ID // the bridge that was last heard to relay from a subnet
}

func newRouter(self peer.ID, links *links, log *slog.Logger) *router {
	return &router{self: self, links: links, log: log, bridges: map[string]peer.ID{}}
}

// observe notes from which subnet another bridge relays.
func (r *router) observe(msg mesh.Message) {
	subnet, _, ok := legacy.SplitOrigin(msg.Origin)
	if !ok || msg.From == r.self {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.bridges) >= maxSubnets {
		clear(r.bridges)
	}
	r.bridges[subnet] = msg.From
}

// bridgeTo returns the bridge that was last heard to relay from the subnet of an old node.
func (r *router) bridgeTo(to string) (bridge peer.ID, known bool) {
	subnet, _, _ := legacy.SplitOrigin(to)
	r.mu.Lock()
	defer r.mu.Unlock()
	bridge, known = r.bridges[subnet]
	return bridge, known
}

// handle takes native whispers that are for old nodes.
func (r *router) handle(_ context.Context, msg mesh.Message) bool {
	if _, _, ok := legacy.SplitOrigin(msg.To); !ok {
		return false
	}
	if err := r.whisper(author(msg), msg.To, msg.Packets); err != nil {
		r.log.Info("cannot deliver", "to", msg.To, "from", msg.From, "err", err)
	}
	return true
}

// whisper whispers to an old node over a link. Errors: ErrNoBridge, ErrValue, ErrFull.
func (r *router) whisper(from, to string, packets []any) error {
	subnet, id, _ := legacy.SplitOrigin(to)
	l := r.linkTo(subnet, id)
	if l == nil {
		return ErrNoBridge
	}
	return l.messages.whisper(from, id, packets)
}

// linkTo returns the link by which an old node is likely to be reached, or nil.
func (r *router) linkTo(subnet, id string) (best *link) {
	for _, l := range r.links.all() {
		switch {
		case l.network.subnet != subnet:
		case l.residents.has(id):
			return l
		case best == nil:
			best = l
		}
	}
	return best
}
