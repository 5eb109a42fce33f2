package legacy

import (
	"fmt"
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

// Broadcast sends packets to all nodes of the network.
func (n *Node) Broadcast(now time.Time, packets []any) (Effects, error) {
	_, err := n.broadcast(now, wire.Broadcast, packets...)
	return n.take(), err
}

// broadcast sends a message of this node to all.
func (n *Node) broadcast(now time.Time, sub wire.Flag, args ...any) (*wire.Message, error) {
	m := wire.New(n.net.Version, wire.Broadcast, sub, args...)
	if err := n.sign(now, m); err != nil {
		return nil, err
	}
	for _, s := range n.sessions() {
		s.forward(now, m)
	}
	return m, nil
}

// sign makes a message this node's, from now. What another message has said before within
// the same second is a second younger, since nobody would hear it else. It fails if the
// message is too large, as may be one that only hands on what another node has said.
func (n *Node) sign(now time.Time, m *wire.Message) error {
	if m.Sender == "" {
		m.Sender = n.id
	}
	m.Time, m.Aligned = now.Unix(), true
	for {
		body, err := wire.Encode(m)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrTooLarge, err)
		}
		m.Body = body
		if m.Main() != wire.Broadcast || n.history.add(now, m.ID) || m.Time > now.Add(window).Unix() {
			return nil
		}
		m.Time++
	}
}

// receive takes a message of a node in the table.
func (n *Node) receive(now time.Time, s *Session, m *wire.Message) {
	flooded := m.Main() == wire.Broadcast || m.Main() == wire.Waterfall
	if flooded {
		if age := now.Unix() - m.Time; age >= int64(window.Seconds()) || -age > int64(ahead.Seconds()) {
			n.Drop(DropExpired)
			return
		}
		if !n.history.add(now, m.ID) {
			return
		}
		n.history.addSender(m, m.Sender)
	}
	if !n.validate(m, flooded) {
		n.Drop(DropForm)
		return
	}
	if flooded && !IsGhost(n.id) {
		n.relay(now, s, m)
	}
	n.handle(now, s, m)
}

// relay passes a broadcast on to all but its sender and whom it came from.
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
			s.forward(now, m)
		}
	}
}
