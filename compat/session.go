package compat

// CORE: one connection with an old node: what it has said of itself, and what it may be
// told.

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

const (
	greetTime  = 10 * time.Second // for a handshake
	listenTime = 2 * time.Second  // for the other's first word, before one who dialled speaks; half of it, before one who was dialled does
	starPause  = 5 * time.Second  // between two answers to requests for peers with nothing else between them
	maxKnown   = 1 << 16          // keys that a node is known to have
)

// A session is a connection with an old node.
type session struct {
	c        *citizen
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

// open begins a connection.
func (c *citizen) open(now time.Time, outgoing bool, remote string) *session {
	s := &session{c: c, outgoing: outgoing, remote: remote, since: now, speaks: c.version, knows: map[string]bool{}}
	c.pending[s] = true
	if t, ok := c.ext.(*spread); ok && t.narrow() && !t.stores {
		s.ready() // it need not greet to ask
	} else if outgoing && c.mute() {
		s.speak(now)
	}
	return s
}

// mute tells whether nodes of this kind wait until they are spoken to. All others speak at
// once, whoever has dialled, so that this node first listens: what speaks another version
// might not survive what this one says.
func (c *citizen) mute() bool {
	return c.transport == WebSocket || c.version == wire.V4 && c.kind == Chord
}

// deadline is when something is due because nothing has come.
func (s *session) deadline() time.Time {
	switch {
	case s.greeted || s.over || s.anonymous():
		return time.Time{}
	case s.outgoing && !s.spoken:
		return s.since.Add(s.c.listening)
	case !s.spoken && !s.c.mute():
		return s.since.Add(s.c.listening / 2)
	}
	return s.since.Add(greetTime)
}

// ready says that nobody need wait for the connection any more.
func (s *session) ready() {
	if !s.usable {
		s.usable = true
		s.c.out.entered = append(s.c.out.entered, s)
	}
}

// anonymous tells whether the other need not say who it is: on the ring of 0.4 only those
// do that store.
func (s *session) anonymous() bool {
	t, ok := s.c.ext.(*spread)
	return ok && t.narrow()
}

// advance does what is due.
func (s *session) advance(now time.Time) {
	d := s.deadline()
	switch {
	case d.IsZero() || now.Before(d):
	case !s.spoken && (s.outgoing || !s.c.mute()):
		s.speak(now) // old nodes would have spoken: it is one of this library, or somebody else
	default:
		s.shut(now, ErrSilent)
	}
}

// speak sends the handshake.
func (s *session) speak(now time.Time) {
	s.spoken = true
	s.tell(now, wire.Whisper, wire.Handshake, s.c.greeting()...)
}

// tell sends a message of this node to the other only.
func (s *session) tell(now time.Time, main, sub wire.Flag, args ...any) {
	s.say(now, wire.New(s.c.version, main, sub, args...))
}

// say sends a message from now to the other only. If it names no sender, it is this node's.
func (s *session) say(now time.Time, m *wire.Message) {
	if err := s.c.sign(now, m); err != nil {
		s.c.drop(DropEncoding)
		return
	}
	s.send(now, m)
}

// send sends a message that the other takes, or drops and counts it.
func (s *session) send(now time.Time, m *wire.Message) {
	if s.c.ext != nil {
		if why := s.c.ext.refuses(s, m); why != "" {
			s.c.drop(why)
			return
		}
		s.c.ext.note(s, m)
	}
	body := m.Body
	if !s.c.version.Typed() && !wire.SameForJS(m.Packets) {
		// py and js have another id for it, and a wrong one is the end of a js node.
		copied := *m
		copied.TextID = s.peer.Language == wire.JavaScript
		var err error
		if body, err = wire.Encode(&copied); err != nil {
			s.c.drop(DropEncoding)
			return
		}
		s.c.seen.Add(now, copied.ID)
	}
	if method := wire.Choose(s.c.methods, s.methods); method != 0 && m.Sub() != wire.Handshake {
		packed, err := wire.Compress(method, body)
		if err != nil {
			s.c.drop(DropEncoding)
			return
		}
		body = packed
	}
	if s.c.transport == WebSocket && len(body) > maxWebSocket {
		s.c.drop(DropSize)
		return
	}
	paced := s.c.version > wire.V4 && s.peer.Language != wire.JavaScript
	s.c.out.frames = append(s.c.out.frames, parcel{s, body, paced, m.Sub() == wire.Peers, isGreeting(m)})
}

// isGreeting tells a handshake from that of a table, which says only whether one is a leech.
func isGreeting(m *wire.Message) bool { return m.Sub() == wire.Handshake && len(m.Args()) == 4 }

// more tells a part of the backlog, and whether there was any.
func (s *session) more(now time.Time) bool {
	part := s.backlog[:min(len(s.backlog), 64)]
	s.backlog = s.backlog[len(part):]
	for _, key := range part {
		s.c.ext.introduce(now, s, key)
	}
	return len(part) > 0
}

// shut ends the connection, and has an old py node do so, too.
func (s *session) shut(now time.Time, why error) {
	if s.over {
		return
	}
	if s.peer.ID != "" && !s.anonymous() {
		if body := farewell(s.speaks, s.peer.Language, s.c.id, now); body != nil {
			s.c.out.frames = append(s.c.out.frames, parcel{to: s, body: body, paced: s.spoken && s.speaks > wire.V4})
		}
	}
	s.end(why)
}

// end ends it without a word.
func (s *session) end(why error) {
	if !s.over {
		s.over = true
		s.c.out.shut = append(s.c.out.shut, shutting{s, why})
	}
}

// receive takes a frame of the other.
func (s *session) receive(now time.Time, body []byte) {
	if s.over {
		return
	}
	s.told++
	m, err := s.decode(body)
	switch {
	case err != nil && s.greeted && s.inStep(err):
		s.c.drop(DropForm)
	case err != nil && s.greeted:
		s.shut(now, fmt.Errorf("%w: %w", ErrWire, err)) // the stream is out of step, or never was in it
	case err != nil:
		s.refuse(now, body, err)
	case isGreeting(m):
		s.hear(now, m)
	case m.Main() == wire.Renegotiate:
		s.renegotiate(m)
	case !s.greeted && !s.anonymous():
		s.c.drop(DropEarly)
	default:
		s.c.receive(now, s, m)
	}
}

// inStep tells whether a frame that is wrong has at least the checksum that it should: the
// next one will be a frame, too.
func (s *session) inStep(err error) bool {
	return s.c.version.Typed() && !errors.Is(err, wire.ErrChecksum) && !errors.Is(err, wire.ErrLayout)
}

// decode reads a frame. One that is compressed says neither that it is nor how, so that
// what cannot be decompressed is taken as it is.
func (s *session) decode(body []byte) (*wire.Message, error) {
	for _, method := range wire.Try(s.c.methods, s.used) {
		plain, err := wire.Decompress(method, body)
		if err == nil {
			return wire.Decode(s.c.version, plain)
		}
	}
	return wire.Decode(s.c.version, body)
}

// renegotiate takes which compression the other wants, and never answers: old nodes answer
// each other without end, or not at all.
func (s *session) renegotiate(m *wire.Message) {
	if m.Sub() != wire.Compression || len(m.Args()) == 0 {
		return
	}
	if methods, err := s.c.version.ParseMethods(m.Args()[0]); err == nil {
		s.announce(methods)
	}
}

// announce takes which methods the other takes. Behind the news that it is none, py of 0.7
// sends what it has compressed before.
func (s *session) announce(methods []wire.Method) {
	s.methods = methods
	for _, m := range methods {
		if !slices.Contains(s.used, m) {
			s.used = append(s.used, m)
		}
	}
}

// refuse ends the connection with who does not speak as this node does.
func (s *session) refuse(now time.Time, body []byte, err error) {
	v, g, ok := recognize(body)
	if !ok {
		s.shut(now, fmt.Errorf("%w: %w", ErrWire, err))
		return
	}
	s.peer, s.speaks = g, v
	s.shut(now, identify(v, g))
}

// hear takes the handshake of the other.
func (s *session) hear(now time.Time, m *wire.Message) {
	g, err := s.c.version.ParseGreeting(m.Args())
	switch {
	case err != nil:
		s.shut(now, fmt.Errorf("%w: %w", ErrWire, err))
	case g.SubnetID == nowhere:
		s.end(io.EOF)
	case g.SubnetID != s.c.subnetID:
		s.peer = g
		s.shut(now, identify(s.c.version, g, s.c.subnet))
	case g.ID == s.c.id:
		if !s.spoken {
			s.speak(now) // so that the other end sees it, too
		}
		s.shut(now, ErrSelf)
	case s.greeted && g.ID != s.peer.ID:
		s.shut(now, fmt.Errorf("%w: it changes its ID", ErrWire))
	case s.greeted:
		s.peer = g
		s.announce(g.Methods) // js 0.6 and 0.7 say it twice
	case s.c.wins(now, s, g):
		s.peer, s.greeted = g, true
		s.announce(g.Methods)
		if !s.spoken {
			s.speak(now)
		}
		s.c.enter(now, s)
	default:
		s.peer = g
		s.shut(now, ErrTwice)
	}
}
