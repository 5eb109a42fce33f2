package legacy

import (
	"fmt"
	"io"
	"math/big"
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

// GreetTime is how long a node may take to say who it is.
const GreetTime = 10 * time.Second // for a handshake

// sessionDeadline returns when something is due with a session from which nothing has come. Zero is never.
func (n *Node) sessionDeadline(s *Session) time.Time {
	switch {
	case s.greeted || s.over || n.anonymous:
		return time.Time{}
	case s.outgoing && !s.spoken:
		return s.since.Add(n.silence)
	case !s.spoken && !n.mute():
		return s.since.Add(n.silence / 2)
	}
	return s.since.Add(GreetTime)
}

// advanceSession does what is due with a session: it says who this node is, or ends the session.
func (n *Node) advanceSession(now time.Time, s *Session) {
	d := n.sessionDeadline(s)
	switch {
	case d.IsZero() || now.Before(d):
	case !s.spoken && (s.outgoing || !n.mute()):
		n.sendHandshake(now, s) // the other is no old node, which would have spoken
	default:
		n.shut(now, s, ErrSilent)
	}
}

// refuse ends a session with a node that does not speak the version of this node.
func (n *Node) refuse(now time.Time, s *Session, body []byte, err error) {
	v, g, ok := Recognize(body)
	if !ok {
		n.shut(now, s, fmt.Errorf("%w: %w", ErrWire, err))
		return
	}
	s.peer, s.speaks = g, v
	n.shut(now, s, Identify(v, g))
}

// receiveHandshake admits a node that has said who it is, or ends its session.
func (n *Node) receiveHandshake(now time.Time, s *Session, m *wire.Message) {
	g, err := n.net.Version.ParseGreeting(m.Args())
	switch {
	case err != nil:
		n.shut(now, s, fmt.Errorf("%w: %w", ErrWire, err))
	case g.SubnetID == nowhere:
		n.end(s, io.EOF)
	case g.SubnetID != n.subnetID:
		s.peer = g
		n.shut(now, s, Identify(n.net.Version, g, n.net.Subnet))
	case g.ID == n.id:
		if !s.spoken {
			n.sendHandshake(now, s) // so that the other end knows, too
		}
		n.shut(now, s, ErrSelf)
	case s.greeted && g.ID != s.peer.ID:
		n.shut(now, s, fmt.Errorf("%w: it changes its ID", ErrWire))
	case s.greeted:
		s.peer = g
		s.setMethods(g.Methods) // js of 0.6 and 0.7 sends it twice
	case n.prefersNew(now, s, g):
		s.peer, s.greeted = g, true
		s.setMethods(g.Methods)
		if !s.spoken {
			n.sendHandshake(now, s)
		}
		n.admit(now, s)
	default:
		s.peer = g
		n.shut(now, s, ErrTwice)
	}
}

// prefersNew reports whether the new of two sessions with one node stays, and ends the old one then. Old py nodes keep
// the session that the node with the larger ID has dialled. js nodes, and nodes without this node's handshake, know of
// the first session only.
func (n *Node) prefersNew(now time.Time, s *Session, g wire.Greeting) bool {
	old := n.members[g.ID]
	if old == nil {
		return true
	}
	n.send(now, old, wire.Whisper, wire.Peers, n.net.Version.PeersArg(n.listed(old))) // a dead connection shows then
	if !s.spoken && g.Language != wire.Python {
		return false
	}
	if larger(n.id, g.ID) != s.outgoing {
		return false
	}
	n.shut(now, old, ErrTwice)
	return true
}

// larger reports whether ID a is a larger number than ID b.
func larger(a, b string) bool {
	x, errA := wire.ParseBase58(a)
	y, errB := wire.ParseBase58(b)
	if errA != nil || errB != nil {
		x, y = new(big.Int).SetBytes([]byte(a)), new(big.Int).SetBytes([]byte(b))
	}
	return x.Cmp(y) > 0
}

// admit moves a session into the table, and sends what has waited for the node.
func (n *Node) admit(now time.Time, s *Session) {
	delete(n.pending, s)
	n.members[s.peer.ID] = s
	n.ready(s)
	n.emit(Event{Kind: EventConnect, Peer: s.Peer()})
	n.send(now, s, wire.Whisper, wire.Peers, n.net.Version.PeersArg(n.listed(s)))
	n.ext.joined(now, s)
	for _, m := range n.postbox.take(s.peer.ID) {
		n.sendSigned(now, s, m)
	}
}

// renegotiate notes which compression the other node wants. It never answers: old nodes answer each other without end,
// or not at all.
func (n *Node) renegotiate(s *Session, m *wire.Message) {
	if m.Sub() != wire.Compression || len(m.Args()) == 0 {
		return
	}
	if methods, err := n.net.Version.ParseMethods(m.Args()[0]); err == nil {
		s.setMethods(methods)
	}
}

// Hello returns the handshake of this node, encoded. Error: ErrTooLarge.
func (n *Node) Hello(now time.Time) ([]byte, error) {
	m := wire.New(n.net.Version, wire.Whisper, wire.Handshake, n.greeting()...)
	err := n.sign(now, m)
	return m.Body, err
}
