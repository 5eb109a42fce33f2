package legacy

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

const (
	GreetTime = 10 * time.Second // for a handshake
	MaxKnown  = 1 << 16          // keys that a node is known to have

	starPause = 5 * time.Second // between two answers to requests for peers with nothing else between them
)

// A Session is a connection with an old node.
type Session struct {
	node     *Node
	outgoing bool
	remote   string // host:port of the connection
	since    time.Time

	spoken  bool // this node has sent its handshake
	greeted bool // the other has, and it is a valid one
	over    bool
	usable  bool // nobody need wait for it
	peer    wire.Greeting
	speaks  wire.Version
	methods []wire.Method // that the other takes
	used    []wire.Method // that it has ever announced: it may go on with them

	answered time.Time       // the last request for peers
	told     int             // frames until now since then
	knows    map[string]bool // keys of the dictionary that the other has
	backlog  []string        // keys that it has to be told
	stores   bool            // on a ring: it stores
}

// Open begins a session on a connection that this node has dialled, or accepted.
func (n *Node) Open(now time.Time, outgoing bool, remote string) (*Session, Effects) {
	s := &Session{node: n, outgoing: outgoing, remote: remote, since: now, speaks: n.net.Version, knows: map[string]bool{}}
	n.pending[s] = true
	if n.ext.asks() {
		s.ready()
	} else if outgoing && n.mute() {
		s.speak(now)
	}
	return s, n.take()
}

// Receive takes a frame of the other.
func (n *Node) Receive(now time.Time, s *Session, body []byte) Effects {
	s.receive(now, body)
	return n.take()
}

// Introduce tells a node a part of what it has to be told, and reports whether there was any left.
func (n *Node) Introduce(now time.Time, s *Session) (Effects, bool) {
	more := s.introduce(now)
	return n.take(), more
}

// Shut ends a session, and has an old py node do so, too.
func (n *Node) Shut(now time.Time, s *Session, why error) Effects {
	s.shut(now, why)
	return n.take()
}

// ShutAll ends all sessions.
func (n *Node) ShutAll(now time.Time, why error) Effects {
	for s := range n.pending {
		s.shut(now, why)
	}
	for _, s := range n.sessions() {
		s.shut(now, why)
	}
	return n.take()
}

// Peer returns who the other is.
func (s *Session) Peer() Peer {
	return Peer{ID: s.peer.ID, Addr: s.peer.Addr.String(), Remote: s.remote, Language: s.peer.Language.String(), Outgoing: s.outgoing, Since: s.since}
}

// mute tells whether nodes of this kind wait until they are spoken to. All others speak at
// once, whoever has dialled, so that this node first listens: what speaks another version
// might not survive what this one says.
func (n *Node) mute() bool {
	return n.net.Transport == WebSocket || n.net.Version == wire.V4 && n.net.Kind == Chord
}

// deadline is when something is due because nothing has come.
func (s *Session) deadline() time.Time {
	switch {
	case s.greeted || s.over || s.node.ext.anonymous():
		return time.Time{}
	case s.outgoing && !s.spoken:
		return s.since.Add(s.node.silence)
	case !s.spoken && !s.node.mute():
		return s.since.Add(s.node.silence / 2)
	}
	return s.since.Add(GreetTime)
}

// ready says that nobody need wait for the connection any more.
func (s *Session) ready() {
	if !s.usable {
		s.usable = true
		s.node.out.Ready = append(s.node.out.Ready, s)
	}
}

// advance does what is due.
func (s *Session) advance(now time.Time) {
	d := s.deadline()
	switch {
	case d.IsZero() || now.Before(d):
	case !s.spoken && (s.outgoing || !s.node.mute()):
		s.speak(now) // old nodes would have spoken: it is one of this library, or somebody else
	default:
		s.shut(now, ErrSilent)
	}
}

// speak sends the handshake.
func (s *Session) speak(now time.Time) {
	s.spoken = true
	s.send(now, wire.Whisper, wire.Handshake, s.node.greeting()...)
}

// send sends a message of this node to the other only.
func (s *Session) send(now time.Time, main, sub wire.Flag, args ...any) {
	s.sendSigned(now, wire.New(s.node.net.Version, main, sub, args...))
}

// sendSigned sends a message from now to the other only. If it names no sender, it is this node's.
func (s *Session) sendSigned(now time.Time, m *wire.Message) {
	if err := s.node.sign(now, m); err != nil {
		s.node.Drop(DropEncoding)
		return
	}
	s.forward(now, m)
}

// forward sends a message that the other takes, or drops and counts it.
func (s *Session) forward(now time.Time, m *wire.Message) {
	if why := s.node.ext.refuses(s, m); why != 0 {
		s.node.Drop(why)
		return
	}
	s.node.ext.note(s, m)
	body := m.Body
	if !s.node.net.Version.Typed() && !wire.SameForJS(m.Packets) {
		// py and js have another id for it, and a wrong one is the end of a js node.
		copied := *m
		copied.TextID = s.peer.Language == wire.JavaScript
		var err error
		if body, err = wire.Encode(&copied); err != nil {
			s.node.Drop(DropEncoding)
			return
		}
		s.node.history.add(now, copied.ID)
	}
	if method := wire.Choose(s.node.methods, s.methods); method != 0 && m.Sub() != wire.Handshake {
		packed, err := wire.Compress(method, body)
		if err != nil {
			s.node.Drop(DropEncoding)
			return
		}
		body = packed
	}
	if s.node.net.Transport == WebSocket && len(body) > maxWebSocket {
		s.node.Drop(DropSize)
		return
	}
	paced := s.node.net.Version > wire.V4 && s.peer.Language != wire.JavaScript
	s.node.out.Frames = append(s.node.out.Frames, Frame{To: s, Body: body, Paced: paced, Answer: m.Sub() == wire.Peers, Asks: isGreeting(m)})
}

// isGreeting tells a handshake from that of a table, which says only whether one is a leech.
func isGreeting(m *wire.Message) bool { return m.Sub() == wire.Handshake && len(m.Args()) == 4 }

// introduce tells a part of the backlog, and whether there was any.
func (s *Session) introduce(now time.Time) bool {
	part := s.backlog[:min(len(s.backlog), 64)]
	s.backlog = s.backlog[len(part):]
	for _, key := range part {
		s.node.ext.introduce(now, s, key)
	}
	return len(part) > 0
}

// shut ends the connection, and has an old py node do so, too.
func (s *Session) shut(now time.Time, why error) {
	if s.over {
		return
	}
	if s.peer.ID != "" && !s.node.ext.anonymous() {
		if body := Goodbye(s.speaks, s.peer.Language, s.node.id, now); body != nil {
			s.node.out.Frames = append(s.node.out.Frames, Frame{To: s, Body: body, Paced: s.spoken && s.speaks > wire.V4})
		}
	}
	s.end(why)
}

// end ends it without a word.
func (s *Session) end(why error) {
	if !s.over {
		s.over = true
		s.node.out.Endings = append(s.node.out.Endings, Ending{Session: s, Why: why})
	}
}

// receive takes a frame of the other.
func (s *Session) receive(now time.Time, body []byte) {
	if s.over {
		return
	}
	s.told++
	m, err := s.decode(body)
	switch {
	case err != nil && s.greeted && s.inStep(err):
		s.node.Drop(DropForm)
	case err != nil && s.greeted:
		s.shut(now, fmt.Errorf("%w: %w", ErrWire, err)) // the stream is out of step, or never was in it
	case err != nil:
		s.refuse(now, body, err)
	case isGreeting(m):
		s.hear(now, m)
	case m.Main() == wire.Renegotiate:
		s.renegotiate(m)
	case !s.greeted && !s.node.ext.anonymous():
		s.node.Drop(DropEarly)
	default:
		s.node.receive(now, s, m)
	}
}

// inStep tells whether a frame that is wrong has at least the checksum that it should: the
// next one will be a frame, too.
func (s *Session) inStep(err error) bool {
	return s.node.net.Version.Typed() && !errors.Is(err, wire.ErrChecksum) && !errors.Is(err, wire.ErrLayout)
}

// decode reads a frame. One that is compressed says neither that it is nor how, so that
// what cannot be decompressed is taken as it is.
func (s *Session) decode(body []byte) (*wire.Message, error) {
	for _, method := range wire.Try(s.node.methods, s.used) {
		plain, err := wire.Decompress(method, body)
		if err == nil {
			return wire.Decode(s.node.net.Version, plain)
		}
	}
	return wire.Decode(s.node.net.Version, body)
}

// renegotiate takes which compression the other wants, and never answers: old nodes answer
// each other without end, or not at all.
func (s *Session) renegotiate(m *wire.Message) {
	if m.Sub() != wire.Compression || len(m.Args()) == 0 {
		return
	}
	if methods, err := s.node.net.Version.ParseMethods(m.Args()[0]); err == nil {
		s.announce(methods)
	}
}

// announce takes which methods the other takes. Behind the news that it is none, py of 0.7
// sends what it has compressed before.
func (s *Session) announce(methods []wire.Method) {
	s.methods = methods
	for _, m := range methods {
		if !slices.Contains(s.used, m) {
			s.used = append(s.used, m)
		}
	}
}

// refuse ends the connection with who does not speak as this node does.
func (s *Session) refuse(now time.Time, body []byte, err error) {
	v, g, ok := Recognize(body)
	if !ok {
		s.shut(now, fmt.Errorf("%w: %w", ErrWire, err))
		return
	}
	s.peer, s.speaks = g, v
	s.shut(now, Identify(v, g))
}

// hear takes the handshake of the other.
func (s *Session) hear(now time.Time, m *wire.Message) {
	g, err := s.node.net.Version.ParseGreeting(m.Args())
	switch {
	case err != nil:
		s.shut(now, fmt.Errorf("%w: %w", ErrWire, err))
	case g.SubnetID == nowhere:
		s.end(io.EOF)
	case g.SubnetID != s.node.subnetID:
		s.peer = g
		s.shut(now, Identify(s.node.net.Version, g, s.node.net.Subnet))
	case g.ID == s.node.id:
		if !s.spoken {
			s.speak(now) // so that the other end sees it, too
		}
		s.shut(now, ErrSelf)
	case s.greeted && g.ID != s.peer.ID:
		s.shut(now, fmt.Errorf("%w: it changes its ID", ErrWire))
	case s.greeted:
		s.peer = g
		s.announce(g.Methods) // js 0.6 and 0.7 say it twice
	case s.node.wins(now, s, g):
		s.peer, s.greeted = g, true
		s.announce(g.Methods)
		if !s.spoken {
			s.speak(now)
		}
		s.node.enter(now, s)
	default:
		s.peer = g
		s.shut(now, ErrTwice)
	}
}
