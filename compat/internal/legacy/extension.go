package legacy

import (
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

// An extension does what nodes of a kind do beyond mesh nodes.
type extension interface {
	filter
	// asks reports whether this node may ask without saying who it is.
	asks() bool
	// joined is called with a node that has greeted, and left with one whose connection is over.
	joined(now time.Time, s *Session)
	left(now time.Time, s *Session)
	// introduce tells a node one key of its backlog.
	introduce(now time.Time, s *Session, key string)
	// validate reports whether all nodes survive a message, and whether the message is the extension's.
	validate(m *wire.Message, flooded bool) (ok, mine bool)
	// handle handles a message. It reports whether the message is the extension's.
	handle(now time.Time, s *Session, m *wire.Message) bool
	deadline() time.Time
	advance(now time.Time)
}

// plain is the extension of a mesh node. It adds nothing.
type plain struct{}

func (plain) asks() bool                                     { return false }
func (plain) joined(time.Time, *Session)                     {}
func (plain) left(time.Time, *Session)                       {}
func (plain) introduce(time.Time, *Session, string)          {}
func (plain) validate(*wire.Message, bool) (ok, mine bool)   { return false, false }
func (plain) refuses(*Session, *wire.Message) Drop           { return 0 }
func (plain) noteSent(*Session, *wire.Message)               {}
func (plain) handle(time.Time, *Session, *wire.Message) bool { return false }
func (plain) deadline() time.Time                            { return time.Time{} }
func (plain) advance(time.Time)                              {}
