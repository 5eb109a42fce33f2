package legacy

import (
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

// An extension is what a node of a kind does beyond a mesh node.
type extension interface {
	// anonymous reports whether others need not say who they are: on the ring of 0.4 only those do that store.
	anonymous() bool
	// asks reports whether this node need not say who it is.
	asks() bool
	enter(now time.Time, s *Session)
	leave(now time.Time, s *Session)
	// introduce tells a node one key of its backlog.
	introduce(now time.Time, s *Session, key string)
	// validate reports whether all nodes survive a message, and whether the message is one of the extension's own.
	validate(m *wire.Message, flooded bool) (ok, mine bool)
	// refuses says why one node would not survive a message, if it would not.
	refuses(s *Session, m *wire.Message) Drop
	// note says that a node is told a message.
	note(s *Session, m *wire.Message)
	handle(now time.Time, s *Session, m *wire.Message) bool
	deadline() time.Time
	advance(now time.Time)
}

// plain extends a mesh node: it adds nothing.
type plain struct{}

func (plain) anonymous() bool                                { return false }
func (plain) asks() bool                                     { return false }
func (plain) enter(time.Time, *Session)                      {}
func (plain) leave(time.Time, *Session)                      {}
func (plain) introduce(time.Time, *Session, string)          {}
func (plain) validate(*wire.Message, bool) (ok, mine bool)   { return false, false }
func (plain) refuses(*Session, *wire.Message) Drop           { return 0 }
func (plain) note(*Session, *wire.Message)                   {}
func (plain) handle(time.Time, *Session, *wire.Message) bool { return false }
func (plain) deadline() time.Time                            { return time.Time{} }
func (plain) advance(time.Time)                              {}
