package bridge

import (
	"time"

	"github.com/p2p-today/go2p/compat/internal/legacy"
	"github.com/p2p-today/go2p/compat/internal/wire"
)

// nativeTime is how long a call to the native side may take.
const nativeTime = 10 * time.Second

// A network is an old network.
type network struct {
	subnet  string
	id      string // as it travels
	version wire.Version
}

func newNetwork(n legacy.Network) network {
	return network{subnet: n.Subnet, id: n.ID(), version: n.Version}
}

// ghost returns the ID that an author has in the network.
func (n network) ghost(author string) string { return legacy.GhostID(author, n.id) }

// origin returns the name that a node of the network has elsewhere.
func (n network) origin(id string) string { return legacy.Origin(n.subnet, id) }

// encode returns packets as they travel in the network. Errors: ErrValue, ErrTooLarge.
func (n network) encode(packets ...any) ([]any, error) { return legacy.FromGo(n.version, packets) }
