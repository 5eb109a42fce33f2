package control

import (
	"encoding/json"
	"time"
)

// A MessagesRequest says which messages to take out of the mailbox.
type MessagesRequest struct {
	N      int  `json:"n,omitempty"`      // at most so many; 0 for all
	Follow bool `json:"follow,omitempty"` // go on with those that arrive
}

// A Peer is a neighbour.
type Peer struct {
	ID    string    `json:"id"`
	Addrs []string  `json:"addrs"`
	Path  string    `json:"path"`
	RTT   float64   `json:"rtt_ms"`
	Since time.Time `json:"since"`
}

// A Message is a message that arrived.
type Message struct {
	From    string    `json:"from"`          // a peer, or an old node as legacy:<subnet>/<id>
	Via     string    `json:"via,omitempty"` // the peer that has carried it over from an old network
	Packets []any     `json:"packets"`       // as value.JSON gives them
	Time    time.Time `json:"time"`
	ID      string    `json:"id"`
	Kind    string    `json:"kind"`
	To      string    `json:"to,omitempty"` // reply: the ID of the message that it answers
}

// A Gap is an interval of an author's broadcasts that are lost.
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

// A Sent is the result of a broadcast.
type Sent struct {
	ID         string `json:"id"`
	Neighbours int    `json:"neighbours"`
	Delivered  int    `json:"took"`                // neighbours that said within a second that they have it
	OldNodes   int    `json:"old_nodes,omitempty"` // connected with this peer, which bridges them
}

// A Target is a peer to connect to, or disconnect.
type Target struct {
	Addr string `json:"addr,omitempty"` // a multiaddr that ends in /p2p/ID
	Peer string `json:"peer,omitempty"`
}
