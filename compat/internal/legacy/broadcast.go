package legacy

import (
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

// Broadcast sends packets to all nodes of the network. Error: ErrTooLarge.
func (n *Node) Broadcast(now time.Time, packets []any) (Effects, error) {
	_, err := n.broadcast(now, wire.Broadcast, packets...)
	return n.take(), err
}

// broadcast signs a message and sends it to all nodes in the table.
func (n *Node) broadcast(now time.Time, sub wire.Flag, args ...any) (*wire.Message, error) {
	m := wire.New(n.net.Version, wire.Broadcast, sub, args...)
	if err := n.sign(now, m); err != nil {
		return nil, err
	}
	for _, s := range n.sessions() {
		n.forward(now, s, m)
	}
	return m, nil
}

// relay passes a broadcast on to all nodes in the table, except its sender and the node that it came from.
func (n *Node) relay(now time.Time, from *Session, m *wire.Message) {
	if n.net.Version == wire.V4 && m.Main() == wire.Broadcast {
		copied := *m
		copied.Flag = n.net.Version.MainPacket(wire.Waterfall)
		var err error
		if copied.Body, err = wire.Encode(&copied); err != nil {
			n.Drop(DropEncoding)
			return
		}
		m = &copied
	}
	for _, s := range n.sessions() {
		if s != from && s.peer.ID != m.Sender {
			n.forward(now, s, m)
		}
	}
}
