package legacy

import (
	"errors"
	"slices"
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

// MaxKnown is how many keys are remembered that another node has.
const MaxKnown = 1 << 16

// A Session is what a node knows of a connection with an old node. The node that has opened it owns it.
type Session struct {
	outgoing bool
	remote   string // host:port of the connection
	since    time.Time

	spoken  bool // this node has sent its handshake
	greeted bool // the other has sent a valid one
	over    bool
	usable  bool // Ready was among the effects
	peer    wire.Greeting
	speaks  wire.Version
	methods []wire.Method // that the other decompresses now
	used    []wire.Method // that the other has ever announced, and may go on to use

	answered time.Time       // when the other last got peers that it has asked for
	frames   int             // received since then
	knows    map[string]bool // keys of the dictionary that the other has
	backlog  []string        // keys that the other must be told
	stores   bool            // a part of the table
}

// Peer returns who the other is.
func (s *Session) Peer() Peer {
	return Peer{
		ID: s.peer.ID, Addr: s.peer.Addr.String(), Remote: s.remote, Language: s.peer.Language.String(),
		Outgoing: s.outgoing, Since: s.since,
	}
}

// listed returns where the other is. py 3 knows nodes of py by bytes, and dials them again if they are listed by text.
func (s *Session) listed() wire.Listed {
	return wire.Listed{Addr: s.peer.Addr, ID: s.peer.ID, Bin: s.peer.Language == wire.Python}
}

// inStep reports whether the next frame is readable after one that is wrong: its checksum was right.
func inStep(v wire.Version, err error) bool {
	return v.Typed() && !errors.Is(err, wire.ErrChecksum) && !errors.Is(err, wire.ErrLayout)
}

// decode reads a frame. A frame does not say whether it is compressed, so that one that no method decompresses is
// taken as it is.
func (s *Session) decode(v wire.Version, methods []wire.Method, body []byte) (*wire.Message, error) {
	for _, method := range wire.Try(methods, s.used) {
		plain, err := wire.Decompress(method, body)
		if err == nil {
			return wire.Decode(v, plain)
		}
	}
	return wire.Decode(v, body)
}

// setMethods notes which methods the other node decompresses. py of 0.7 announces that it wants none, and then sends
// what it has compressed before.
func (s *Session) setMethods(methods []wire.Method) {
	s.methods = methods
	for _, m := range methods {
		if !slices.Contains(s.used, m) {
			s.used = append(s.used, m)
		}
	}
}

// isGreeting reports whether a message is a handshake, and not that of a table, which says only whether a node stores.
func isGreeting(m *wire.Message) bool { return m.Sub() == wire.Handshake && len(m.Args()) == 4 }
