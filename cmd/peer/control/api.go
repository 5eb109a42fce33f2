package control

import (
	"encoding/json"
	"time"
)

// TimeoutHeader tells the server how long the client waits for the answer.
const TimeoutHeader = "Go2p-Timeout"

// The paths of the interface.
const (
	PathStatus     = "/v1/status"
	PathEvents     = "/v1/events"
	PathDoctor     = "/v1/doctor" // query: target=PEER|MULTIADDR
	PathPeers      = "/v1/mesh/peers"
	PathConnect    = "/v1/mesh/connect"
	PathDisconnect = "/v1/mesh/disconnect"
	PathSend       = "/v1/mesh/send"
	PathWhisper    = "/v1/mesh/whisper"
	PathAsk        = "/v1/mesh/ask"
	PathReply      = "/v1/mesh/reply"
	PathMessages   = "/v1/mesh/messages" // query: follow=1, n=N
)

// Status says how a peer is.
type Status struct {
	ID         string     `json:"id"`
	Addrs      []string   `json:"addrs"`
	PID        int        `json:"pid"`
	Data       string     `json:"data"`
	Uptime     float64    `json:"uptime_s"`
	Network    string     `json:"network"`
	Private    bool       `json:"private"`
	Neighbours int        `json:"neighbours"`
	Redialling int        `json:"redialling"`
	Boot       uint64     `json:"boot"`
	Sent       Counts     `json:"sent"`
	Received   Counts     `json:"received"`
	Dropped    uint64     `json:"dropped"`
	BadSigs    uint64     `json:"bad_signatures"`
	Waiting    int        `json:"waiting"`
	Sync       SyncStatus `json:"sync"`
	Errors     []LogEntry `json:"errors"`

	Chord TableStatus `json:"chord"`
}

// Counts are numbers of messages.
type Counts struct {
	Broadcasts uint64 `json:"broadcasts"`
	Whispers   uint64 `json:"whispers"`
}

// A LogEntry is something that went wrong with a peer.
type LogEntry struct {
	Time  time.Time `json:"time"`
	Peer  string    `json:"peer"`
	Error string    `json:"error"`
}

// A Peer is a neighbour.
type Peer struct {
	ID    string    `json:"id"`
	Addrs []string  `json:"addrs"`
	Path  string    `json:"path"`
	RTT   float64   `json:"rtt_ms"`
	Since time.Time `json:"since"`
}

// A Message is one that arrived.
type Message struct {
	From    string    `json:"from"`          // a peer, or an old node as legacy:<subnet>/<id>
	Via     string    `json:"via,omitempty"` // the peer that has carried it over from an old network
	Packets []any     `json:"packets"`       // as value.JSON gives them
	Time    time.Time `json:"time"`
	ID      string    `json:"id"`
	Kind    string    `json:"kind"`
	To      string    `json:"to,omitempty"` // reply: the ID of the message that it answers
}

// An Event is something that happened to the peer.
type Event struct {
	Event   string    `json:"event"`
	Time    time.Time `json:"time"`
	Peer    string    `json:"peer,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	Message *Message  `json:"message,omitempty"`
	Gap     *Gap      `json:"gap,omitempty"`
	Key     *Key      `json:"key,omitempty"`   // lease-lost, lease-taken
	Owner   string    `json:"owner,omitempty"` // lease-lost, lease-taken: whose the key is now

	Progress *Progress `json:"progress,omitempty"`
}

// Progress is how far something is that takes long.
type Progress struct {
	Task  string `json:"task"` // fill, hand-over
	Done  uint64 `json:"done"`
	Total uint64 `json:"total"`
	Over  bool   `json:"over"`
}

// A Gap is a stretch of an author's broadcasts that were lost here.
type Gap struct {
	Author string `json:"author"`
	Boot   uint64 `json:"boot"`
	First  uint64 `json:"first"`
	Last   uint64 `json:"last"`
}

// An Outgoing is a message to send.
type Outgoing struct {
	To      string            `json:"to,omitempty"` // whisper, ask: a peer; whisper: or an old node; reply: a message
	Packets []json.RawMessage `json:"packets"`      // as value.FromJSON reads them
}

// A Sent tells what became of a message.
type Sent struct {
	ID         string `json:"id"`
	Neighbours int    `json:"neighbours"`
	Took       int    `json:"took"`                // neighbours that said within a second that they have it
	OldNodes   int    `json:"old_nodes,omitempty"` // connected with this peer, which bridges them
}

// A Target is a peer to connect to, or disconnect.
type Target struct {
	Addr string `json:"addr,omitempty"` // a multiaddr that ends in /p2p/ID
	Peer string `json:"peer,omitempty"`
}

// OK is the answer of what has nothing to tell.
type OK struct {
	OK bool `json:"ok"`
}
