package legacy

import (
	"github.com/p2p-today/go2p/compat/internal/wire"
)

// validate reports whether all nodes survive a message.
func (n *Node) validate(m *wire.Message, flooded bool) bool {
	args := m.Args()
	if len(m.Packets) == 0 {
		return false
	}
	if ok, mine := n.ext.validate(m, flooded); mine {
		return ok
	}
	texts := func(n int) bool {
		for i := range n {
			if _, ok := wire.Text(args[i]); !ok {
				return false
			}
		}
		return true
	}
	switch m.Sub() {
	case wire.Handshake, wire.Peers:
		return !flooded && len(args) > 0
	case wire.Compression, wire.Resend:
		return false
	case wire.Request:
		return len(args) > 0 && len(args) <= 2 && texts(len(args))
	case wire.Response:
		if len(args) != 2 {
			return false
		}
		_, err := n.net.Version.ParseListed(args[1])
		return err == nil && texts(1)
	}
	return true
}
