package legacy

import (
	"errors"
	"slices"
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

// MaxKnown is how many keys a node is known to have.
const MaxKnown = 1 << 16

// A Session is what is known of a connection with an old node. The node that has opened it owns it.
type Session struct {
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
	frames     int             // frames until now since then
	knows    map[string]bool // keys of the dictionary that the other has
	backlog  []string        // keys that it has to be told
	stores   bool            // on a ring: it stores
}

// Peer returns who the other is.
func (s *Session) Peer() Peer {
	return Peer{ID: s.peer.ID, Addr: s.peer.Addr.String(), Remote: s.remote, Language: s.peer.Language.String(), Outgoing: s.outgoing, Since: s.since}
}

// listed is where the other is. py 3 knows others of py by bytes, and dials them again by text.
func (s *Session) listed() wire.Listed {
	return wire.Listed{Addr: s.peer.Addr, ID: s.peer.ID, Bin: s.peer.Language == wire.Python}
}

// inStep reports whether a frame that is wrong has at least the checksum that it should: the next one will be a frame,
// too.
func inStep(v wire.Version, err error) bool {
	return v.Typed() && !errors.Is(err, wire.ErrChecksum) && !errors.Is(err, wire.ErrLayout)
}

// decode reads a frame. One that is compressed says neither that it is nor how, so that what cannot be decompressed by
// some methods is taken as it is.
func (s *Session) decode(v wire.Version, methods []wire.Method, body []byte) (*wire.Message, error) {
	for _, method := range wire.Try(methods, s.used) {
		plain, err := wire.Decompress(method, body)
		if err == nil {
			return wire.Decode(v, plain)
		}
	}
	return wire.Decode(v, body)
}

// setMethods takes which methods the other takes. Behind the news that it is none, py of 0.7
// sends what it has compressed before.
func (s *Session) setMethods(methods []wire.Method) {
	s.methods = methods
	for _, m := range methods {
		if !slices.Contains(s.used, m) {
			s.used = append(s.used, m)
		}
	}
}

// isGreeting tells a handshake from that of a table, which says only whether one is a leech.
func isGreeting(m *wire.Message) bool { return m.Sub() == wire.Handshake && len(m.Args()) == 4 }
