package legacy

import (
	"fmt"
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

const (
	maxOutgoing = 4               // nodes that are dialled for Autodial
	starPause   = 5 * time.Second // between two answers to requests for peers, if nothing else comes between them
)

// Open begins a session on a connection that this node has dialled (outgoing) or accepted.
func (n *Node) Open(now time.Time, outgoing bool, remote string) (*Session, Effects) {
	s := &Session{outgoing: outgoing, remote: remote, since: now, speaks: n.net.Version, knows: map[string]bool{}}
	n.pending[s] = true
	if n.ext.asks() {
		n.ready(s)
	} else if outgoing && n.mute() {
		n.sendHandshake(now, s)
	}
	return s, n.take()
}

// Receive handles a frame of another node.
func (n *Node) Receive(now time.Time, s *Session, body []byte) Effects {
	n.receiveFrame(now, s, body)
	return n.take()
}

// Introduce tells another node a part of the keys that it must be told. It reports whether there were any.
func (n *Node) Introduce(now time.Time, s *Session) (Effects, bool) {
	more := n.introduce(now, s)
	return n.take(), more
}

// Shut ends a session, and has an old py node close it, too.
func (n *Node) Shut(now time.Time, s *Session, why error) Effects {
	n.shut(now, s, why)
	return n.take()
}

// ShutAll ends all sessions.
func (n *Node) ShutAll(now time.Time, why error) Effects {
	for s := range n.pending {
		n.shut(now, s, why)
	}
	for _, s := range n.sessions() {
		n.shut(now, s, why)
	}
	return n.take()
}

// Closed forgets a session whose connection is over.
func (n *Node) Closed(now time.Time, s *Session, why error) Effects {
	s.over = true
	delete(n.pending, s)
	if !s.greeted {
		n.emit(Event{Kind: EventRefused, Peer: s.Peer(), Err: why})
	}
	if n.members[s.peer.ID] == s {
		delete(n.members, s.peer.ID)
		n.emit(Event{Kind: EventDisconnect, Peer: s.Peer(), Err: why})
		n.ext.left(now, s)
	}
	return n.take()
}

// Deadline returns when Advance must be called next. Zero is never.
func (n *Node) Deadline() (first time.Time) {
	due := func(d time.Time) {
		if !d.IsZero() && (first.IsZero() || d.Before(first)) {
			first = d
		}
	}
	for s := range n.pending {
		due(n.sessionDeadline(s))
	}
	due(n.postbox.deadline())
	due(n.ext.deadline())
	return first
}

// Advance does what is due.
func (n *Node) Advance(now time.Time) Effects {
	for s := range n.pending {
		n.advanceSession(now, s)
	}
	for range n.postbox.expire(now) {
		n.Drop(DropNoWay)
	}
	for i := range n.postbox.parked {
		if p := &n.postbox.parked[i]; p.question == "" && now.Sub(p.since) >= quietTime {
			p.question, _ = n.ask(now, p.to)
		}
	}
	n.ext.advance(now)
	return n.take()
}

// introduce sends up to 64 keys of a session's backlog. It reports whether there were any.
func (n *Node) introduce(now time.Time, s *Session) bool {
	part := s.backlog[:min(len(s.backlog), 64)]
	s.backlog = s.backlog[len(part):]
	for _, key := range part {
		n.ext.introduce(now, s, key)
	}
	return len(part) > 0
}

// receiveFrame decodes a frame, and hands on what it says.
func (n *Node) receiveFrame(now time.Time, s *Session, body []byte) {
	if s.over {
		return
	}
	s.frames++
	m, err := s.decode(n.net.Version, n.methods, body)
	switch {
	case err != nil && s.greeted && inStep(n.net.Version, err):
		n.Drop(DropForm)
	case err != nil && s.greeted:
		n.shut(now, s, fmt.Errorf("%w: %w", ErrWire, err)) // the frames of the stream are lost
	case err != nil:
		n.refuse(now, s, body, err)
	case isGreeting(m):
		n.receiveHandshake(now, s, m)
	case m.Main() == wire.Renegotiate:
		n.renegotiate(s, m)
	case !s.greeted && !n.anonymous:
		n.Drop(DropEarly)
	default:
		n.receive(now, s, m)
	}
}

// receive relays and handles a message of a node in the table, if it is new and all nodes survive it.
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

// handle handles a message that is for this node, too.
func (n *Node) handle(now time.Time, s *Session, m *wire.Message) {
	args := m.Args()
	switch sub := m.Sub(); {
	case n.ext.handle(now, s, m):
	case sub == wire.Peers:
		n.out.Answered = append(n.out.Answered, s)
		if list, err := n.net.Version.ParsePeers(args[0]); err == nil {
			n.dialListed(list)
		}
	case sub == wire.Request && len(args) == 1:
		// This library asks behind some frames, to know when they were read. py of 0.4 never stops asking.
		if now.Sub(s.answered) >= starPause || s.frames > 1 && n.net.Version > wire.V4 {
			s.answered, s.frames = now, 0
			n.send(now, s, wire.Whisper, wire.Peers, n.net.Version.PeersArg(n.listed(s)))
		}
	case sub == wire.Request:
		n.answerWhere(now, s, m)
	case sub == wire.Response:
		n.dialFound(m)
	case sub == wire.Ping && m.Main() != wire.Whisper:
		n.receivePresence(m)
	case sub == wire.Broadcast, sub == wire.Whisper:
		kind := KindBroadcast
		if m.Main() != wire.Broadcast && m.Main() != wire.Waterfall {
			kind = KindWhisper
		}
		n.out.Messages = append(n.out.Messages, Message{
			From: m.Sender, ID: messageID(m), Time: time.Unix(m.Time, 0).UTC(), Kind: kind, Packets: listToGo(args),
		})
	}
}

// dialListed dials nodes that another node has listed, if Autodial is set and few are dialled.
func (n *Node) dialListed(list []wire.Listed) {
	if !n.autodial {
		return
	}
	outgoing := 0
	for _, s := range n.members {
		if s.outgoing {
			outgoing++
		}
	}
	for _, p := range list {
		if outgoing < maxOutgoing && p.ID != n.id && n.members[p.ID] == nil && p.Addr != n.addr {
			outgoing++
			n.out.Dials = append(n.out.Dials, p)
		}
	}
}

// receivePresence handles the presence of another bridge.
func (n *Node) receivePresence(m *wire.Message) {
	args := m.Args()
	if len(args) != 3 {
		return
	}
	name, _ := wire.Text(args[0])
	tag, _ := wire.Text(args[1])
	bridge, ok := wire.Text(args[2])
	if ok && name == Mark && len(bridge) <= idLength {
		n.out.Presences = append(n.out.Presences, Presence{Tag: tag, Bridge: bridge})
	}
}
