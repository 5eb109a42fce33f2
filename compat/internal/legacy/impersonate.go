package legacy

import (
	"crypto/sha256"
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

// BroadcastAs broadcasts packets on behalf of a sender, and reports whether they are news. The tag tells messages
// apart that say the same within a second. Errors: those of encoding.
func (n *Node) BroadcastAs(
	now time.Time, sender string, at int64, tag string, packets []any,
) (out Effects, news bool, err error) {
	m := wire.New(n.net.Version, wire.Broadcast, wire.Broadcast, packets...)
	m.Sender, m.Time, m.Tail = sender, at, []byte(tag)
	news, err = n.sendAs(now, m, sender+tag)
	return n.take(), news, err
}

// sendAs sends a broadcast on behalf of its sender, and reports whether it is news. In 0.4 and 0.5, a message of
// another sender may have the same ID; then this one gets a later time.
func (n *Node) sendAs(now time.Time, m *wire.Message, tag string) (sent bool, err error) {
	m.Aligned = true
	for first := m.Time; ; m.Time++ {
		if m.Body, err = wire.Encode(m); err != nil {
			return false, err
		}
		if n.history.add(now, m.ID) {
			break
		}
		before := n.history.sender(m.ID)
		if m.Version.Typed() || before == m.Sender || before == tag || m.Time > first+int64(window.Seconds()) {
			return false, nil // another bridge was first
		}
	}
	n.history.addSender(m, tag)
	for _, s := range n.sessions() {
		n.forward(now, s, m)
	}
	return true, nil
}

// WhisperAs whispers packets to one node on behalf of a sender. Errors: those of Whisper.
func (n *Node) WhisperAs(now time.Time, sender, to string, packets []any) (Effects, error) {
	m := wire.New(n.net.Version, wire.Whisper, wire.Whisper, packets...)
	m.Sender = sender
	err := n.whisper(now, to, m)
	return n.take(), err
}

// Announce tells other bridges of this one, by a broadcast that says nothing to old nodes. On the ring of 0.4 no node
// passes a broadcast on, and Announce does nothing.
func (n *Node) Announce(now time.Time, p Presence) Effects {
	if n.anonymous {
		return Effects{}
	}
	if _, err := n.broadcast(now, wire.Ping, n.text(Mark), n.text(p.Tag), n.text(p.Bridge)); err != nil {
		n.Drop(DropEncoding)
	}
	return n.take()
}

// Tag returns what tells a message from others that say the same within a second.
func Tag(id string) string {
	sum := sha256.Sum256([]byte(id))
	return string(sum[:8])
}
