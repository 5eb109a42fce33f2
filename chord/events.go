package chord

import (
	"time"

	"github.com/p2p-today/go2p/internal/fanout"
)

// An EventKind is what has happened.
type EventKind string

// The kinds of events.
const (
	EventJoined   EventKind = "chord-joined"   // this peer stores now
	EventLeft     EventKind = "chord-left"     // it does not store any more
	EventRefused  EventKind = "chord-refused"  // a neighbour's table has another K
	EventProgress EventKind = "chord-progress" // of a long task
)

// A Task is one that takes long.
type Task string

// The tasks.
const (
	TaskBackfill Task = "fill"      // fetching the keys that this peer has become a replica of
	TaskHandOff  Task = "hand-over" // giving all keys away, to leave
)

// ErrLagged ends a subscriber that did not keep up with what happened.
var ErrLagged = fanout.ErrLagged

// An Event is something that happened to this peer's part in the table.
type Event struct {
	Kind        EventKind
	Time        time.Time // by this peer's clock
	Peer        string    // chord-refused: who
	Err         error     // chord-refused; chord-left, if that was not wanted
	Task        Task      // chord-progress
	Done, Total uint64    // chord-progress: keys so far, and those that are known of
	Over        bool      // chord-progress: it is done
}

// A ChangeKind is what has become of a key.
type ChangeKind string

// The kinds of changes.
const (
	Added   ChangeKind = "add" // it has a value, for the first time or another one
	Deleted ChangeKind = "delete"
	Missed  ChangeKind = "missed" // so much has changed that some of it is not told
)

// A Change is what has become of a key, as Table.Watch yields it.
type Change struct {
	Kind    ChangeKind
	Key     string
	Value   any       // add
	Writer  string    // peer ID, as the writer says itself
	Version uint64    // raised with each write
	Time    time.Time // when this peer heard of it
}
