package legacy

import "github.com/p2p-today/go2p/compat/internal/wire"

// Effects are what a call of the core wants done, in this order.
type Effects struct {
	Frames    []Frame
	Ready     []*Session // that can be used from now on
	Answered  []*Session // that have told of their peers, as they do when they are asked
	Found     []*Lookup  // that are over
	Endings   []Ending
	Dials     []wire.Listed
	Messages  []Message
	Changes   []Change
	Conflicts []WriteConflict
	Notices   []KeyNotice
	Presences []Presence
	Events    []Event
}

// A Frame is to be written to a session.
type Frame struct {
	To     *Session
	Body   []byte
	Paced  bool // the other reads as py does from 0.5 on, or that is not known: see Pacer
	Answer bool // the other may wait for it until it goes on
	Asks   bool // the other answers it with its peers, once it has read it
}

// An Ending is a session that is to be closed when all is written that waits.
type Ending struct {
	Session *Session
	Why     error
}
