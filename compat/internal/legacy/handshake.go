package legacy

import (
	"fmt"
	"io"
	"math/big"
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

const GreetTime = 10 * time.Second // for a handshake

// deadline returns when something is due with a session because nothing has come.
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

// advanceSession does what is due with a session.
func (n *Node) advanceSession(now time.Time, s *Session) {
	d := n.sessionDeadline(s)
	switch {
	case d.IsZero() || now.Before(d):
	case !s.spoken && (s.outgoing || !n.mute()):
		n.sendHandshake(now, s) // old nodes would have spoken: it is one of this library, or somebody else
	default:
		n.shut(now, s, ErrSilent)
	}
}

// refuse ends the connection with who does not speak as this node does.
func (n *Node) refuse(now time.Time, s *Session, body []byte, err error) {
	v, g, ok := Recognize(body)
	if !ok {
		n.shut(now, s, fmt.Errorf("%w: %w", ErrWire, err))
		return
	}
	s.peer, s.speaks = g, v
	n.shut(now, s, Identify(v, g))
}

// receiveHandshake takes the handshake of the other.
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
			n.sendHandshake(now, s) // so that the other end sees it, too
		}
		n.shut(now, s, ErrSelf)
	case s.greeted && g.ID != s.peer.ID:
		n.shut(now, s, fmt.Errorf("%w: it changes its ID", ErrWire))
	case s.greeted:
		s.peer = g
		s.setMethods(g.Methods) // js 0.6 and 0.7 say it twice
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

// prefersNew decides between two connections with one node. Old py nodes keep the one that the
// node with the larger ID has dialled; js nodes, and those that have not had this node's
// handshake, know of the first only.
func (n *Node) prefersNew(now time.Time, s *Session, g wire.Greeting) bool {
	old := n.members[g.ID]
	if old == nil {
		return true
	}
	n.send(now, old, wire.Whisper, wire.Peers, n.net.Version.PeersArg(n.listed(old))) // if it is dead, that shows
	if !s.spoken && g.Language != wire.Python {
		return false
	}
	if larger(n.id, g.ID) != s.outgoing {
		return false
	}
	n.shut(now, old, ErrTwice)
	return true
}

// larger compares IDs as the numbers that they are.
func larger(a, b string) bool {
	x, errA := wire.ParseBase58(a)
	y, errB := wire.ParseBase58(b)
	if errA != nil || errB != nil {
		x, y = new(big.Int).SetBytes([]byte(a)), new(big.Int).SetBytes([]byte(b))
	}
	return x.Cmp(y) > 0
}

// admit takes a node that has greeted into the table.
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

// renegotiate takes which compression the other wants, and never answers: old nodes answer
// each other without end, or not at all.
func (n *Node) renegotiate(s *Session, m *wire.Message) {
	if m.Sub() != wire.Compression || len(m.Args()) == 0 {
		return
	}
	if methods, err := n.net.Version.ParseMethods(m.Args()[0]); err == nil {
		s.setMethods(methods)
	}
}

// Hello returns the first words of the node, encoded.
func (n *Node) Hello(now time.Time) ([]byte, error) {
	m := wire.New(n.net.Version, wire.Whisper, wire.Handshake, n.greeting()...)
	err := n.sign(now, m)
	return m.Body, err
}
