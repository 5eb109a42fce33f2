package legacy

import (
	"fmt"
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

const maxWebSocket = 2<<20 - 4

// A filter says what one node must not be sent.
type filter interface {
	// refuses says why a node would not survive a message, if it would not.
	refuses(s *Session, m *wire.Message) Drop
	// noteSent says that a node is told a message.
	noteSent(s *Session, m *wire.Message)
}

// A sender makes the frames that a node sends. It gathers the effects of each call of the node.
type sender struct {
	identity
	filter  filter
	history history
	out     Effects
	dropped Drops
}

// take returns what has gathered during a call.
func (n *sender) take() Effects {
	out := n.out
	n.out = Effects{}
	return out
}

// Drop counts something that was not passed on or taken.
func (n *sender) Drop(why Drop) { n.dropped[why]++ }

func (n *sender) emit(ev Event) { n.out.Events = append(n.out.Events, ev) }

// sign makes a message this node's, from now. What another message has said before within
// the same second is a second younger, since nobody would hear it else. It fails if the
// message is too large, as may be one that only hands on what another node has said.
func (n *sender) sign(now time.Time, m *wire.Message) error {
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

// send sends a message of this node to one other.
func (n *sender) send(now time.Time, s *Session, main, sub wire.Flag, args ...any) {
	n.sendSigned(now, s, wire.New(n.net.Version, main, sub, args...))
}

// sendSigned sends a message from now to one other. If it names no sender, it is this node's.
func (n *sender) sendSigned(now time.Time, s *Session, m *wire.Message) {
	if err := n.sign(now, m); err != nil {
		n.Drop(DropEncoding)
		return
	}
	n.forward(now, s, m)
}

// forward sends a message that the other takes, or drops and counts it.
func (n *sender) forward(now time.Time, s *Session, m *wire.Message) {
	if why := n.filter.refuses(s, m); why != 0 {
		n.Drop(why)
		return
	}
	n.filter.noteSent(s, m)
	body := m.Body
	if !n.net.Version.Typed() && !wire.SameForJS(m.Packets) {
		// py and js have another id for it, and a wrong one is the end of a js node.
		copied := *m
		copied.TextID = s.peer.Language == wire.JavaScript
		var err error
		if body, err = wire.Encode(&copied); err != nil {
			n.Drop(DropEncoding)
			return
		}
		n.history.add(now, copied.ID)
	}
	if method := wire.Choose(n.methods, s.methods); method != 0 && m.Sub() != wire.Handshake {
		packed, err := wire.Compress(method, body)
		if err != nil {
			n.Drop(DropEncoding)
			return
		}
		body = packed
	}
	if n.net.Transport == WebSocket && len(body) > maxWebSocket {
		n.Drop(DropSize)
		return
	}
	paced := n.net.Version > wire.V4 && s.peer.Language != wire.JavaScript
	n.out.Frames = append(n.out.Frames, Frame{To: s, Body: body, Paced: paced, Answer: m.Sub() == wire.Peers, Asks: isGreeting(m)})
}

// sendHandshake tells the other who this node is.
func (n *sender) sendHandshake(now time.Time, s *Session) {
	s.spoken = true
	n.send(now, s, wire.Whisper, wire.Handshake, n.greeting()...)
}

// ready says that nobody need wait for a session any more.
func (n *sender) ready(s *Session) {
	if !s.usable {
		s.usable = true
		n.out.Ready = append(n.out.Ready, s)
	}
}

// shut ends a session, and has an old py node do so, too, if it has said who it is.
func (n *sender) shut(now time.Time, s *Session, why error) {
	if s.over {
		return
	}
	if s.peer.ID != "" && !n.anonymous {
		if body := Goodbye(s.speaks, s.peer.Language, n.id, now); body != nil {
			n.out.Frames = append(n.out.Frames, Frame{To: s, Body: body, Paced: s.spoken && s.speaks > wire.V4})
		}
	}
	n.end(s, why)
}

// end ends a session without a word.
func (n *sender) end(s *Session, why error) {
	if !s.over {
		s.over = true
		n.out.Endings = append(n.out.Endings, Ending{Session: s, Why: why})
	}
}
