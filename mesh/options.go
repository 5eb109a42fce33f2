package mesh

import (
	"context"
	"log/slog"

	"github.com/libp2p/go-libp2p/core/discovery"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/routing"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/p2p-today/go2p/mesh/internal/netkey"
)

// KeySize is the length in bytes of the key of a private network.
const KeySize = netkey.Size

// Options are the optional settings of Join. The zero value of each field means
// the default stated with it.
type Options struct {
	// Key is the 32-byte key of a private network. Default: none, an open
	// network, which everybody may join who knows or guesses its name and can
	// connect.
	Key []byte

	// Dir is a directory for the mesh's own state: the saved boot counter and
	// the remembered peers. It may be shared by several networks, not by two
	// processes. Default: nothing is remembered, and the boot counter is the
	// time of the start in milliseconds.
	Dir string

	// Join lists peers to connect to, and to dial again for ever while they are
	// not members. Default: none.
	Join []peer.AddrInfo

	// Neighbours is how many members to be connected to, if there are as many:
	// with fewer, peers from the lists of neighbours are dialled. Members that
	// connect by themselves are welcome beyond it. Default: 8.
	Neighbours int

	// Handle, where set, is the first in the chain of handlers, as if added by
	// [Mesh.Handle] before anything can arrive.
	Handle func(context.Context, Message) (taken bool)

	// Discovery, where set, advertises this peer and finds others under a name
	// that only those can derive who know the network.
	Discovery discovery.Discovery

	// PeerRouting, where set, finds the addresses of peers to whisper to.
	PeerRouting routing.PeerRouting

	// Logger gets the log. Default: silent.
	Logger *slog.Logger

	// Registerer gets the metrics, all named go2p_mesh_…, with the network's
	// name as a label. Default: none.
	Registerer prometheus.Registerer
}

const defaultNeighbours = 8
