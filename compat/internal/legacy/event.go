package legacy

import "time"

// Kinds of a message.
const (
	KindBroadcast = "broadcast"
	KindWhisper   = "whisper"
)

// A Message is what another node has sent. Packets are nil, bool, int64, uint64, float64,
// string, []byte, []any or map[string]any; in 0.4 and 0.5 they are []byte.
type Message struct {
	From    string // ID of the node, as it says itself
	ID      string
	Time    time.Time // UTC, in seconds, by the clock of its sender
	Kind    string
	Packets []any
}

// A Change is a key of the dictionary that was written or deleted, by this node or another.
type Change struct {
	Key     string
	Value   any
	Owner   string // ID
	Time    time.Time
	Deleted bool
}

// Kinds of an event.
const (
	EventConnect    = "connect"
	EventDisconnect = "disconnect"
	EventRefused    = "refused" // a node that is not of this network, or not an old one
	EventAdd        = "add"     // a key of the table is new
	EventDelete     = "delete"  // a key of the table is gone
)

// An Event is what has happened to a node's connections, or its table.
type Event struct {
	Kind string
	Peer Peer
	Key  string
	Err  error
}

// A Peer is an old node that is connected.
type Peer struct {
	ID       string
	Addr     string // host:port at which it says that it listens; empty if it does not
	Remote   string // host:port of the connection
	Language string // py or js, or empty if it does not show
	Outgoing bool   // this node has dialled
	Since    time.Time
}

// A WriteConflict is a write that this node has not accepted, since another node owns the key. The sender of the
// write takes itself for the owner.
type WriteConflict struct {
	Key        string
	Sender     string
	SenderText bool // the sender's ID travels as text
	Value      any  // nil for a delta
	Time       int64
}

// A KeyNotice says that a key of the table was written, or deleted.
type KeyNotice struct {
	Key     string
	Deleted bool
}

// A Presence says that there is another bridge.
type Presence struct {
	Tag    string // of the native network
	Bridge string // ID
}
