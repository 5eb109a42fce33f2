package legacy

import (
	"fmt"
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

const maxWebSocket = 2<<20 - 4

// A filter says what a node must not be sent.
type filter interface {
	// refuses returns why a node would not survive a message, or 0.
	refuses(s *Session, m *wire.Message) Drop
	// noteSent is called with what a node is sent.
	noteSent(s *Session, m *wire.Message)
}

// A sender makes the frames that a node sends, and gathers the effects of each call.
type sender struct {
	identity
	filter  filter
	history history
	out     Effects
	dropped Drops
}

// take returns the effects that have gathered.
func (n *sender) take() Effects {
	out := n.out
	n.out = Effects{}
	return out
}

// Drop counts something that was dropped.
func (n *sender) Drop(why Drop) { n.dropped[why]++ }

// emit adds an event to the effects.
func (n *sender) emit(ev Event) { n.out.Events = append(n.out.Events, ev) }

// sign sets the sender, if there is none, and the time of a message, and encodes it. A broadcast that was sent before
// within the second gets a later time, or old nodes would drop it. Error: ErrTooLarge.
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

// sendSigned signs a message and sends it to one other.
func (n *sender) sendSigned(now time.Time, s *Session, m *wire.Message) {
	if err := n.sign(now, m); err != nil {
		n.Drop(DropEncoding)
		return
	}
	n.forward(now, s, m)
}

// forward sends a signed message to one other. It drops what the other would not survive.
func (n *sender) forward(now time.Time, s *Session, m *wire.Message) {
	if why := n.filter.refuses(s, m); why != 0 {
		n.Drop(why)
		return
	}
	n.filter.noteSent(s, m)
	body := m.Body
	if !n.net.Version.Typed() && !wire.SameForJS(m.Packets) {
		// py and js compute different IDs for it, and js does not survive a wrong one.
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
	n.out.Frames = append(n.out.Frames, Frame{
		To: s, Body: body, Paced: paced, Answer: m.Sub() == wire.Peers, Asks: isGreeting(m),
	})
}

// sendHandshake tells the other who this node is.
func (n *sender) sendHandshake(now time.Time, s *Session) {
	s.spoken = true
	n.send(now, s, wire.Whisper, wire.Handshake, n.greeting()...)
}

// ready says that a session can be used.
func (n *sender) ready(s *Session) {
	if !s.usable {
		s.usable = true
		n.out.Ready = append(n.out.Ready, s)
	}
}

// shut ends a session. An old py node that has said who it is closes it, too.
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
