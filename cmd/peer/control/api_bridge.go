package control

import "time"

// A LinkRequest names a link, by its URL to add it and by its name to remove it.
type LinkRequest struct {
	URL  string `json:"url,omitempty"`
	Name string `json:"name,omitempty"`
}

// A Link is the state of the link between a bridge and an old network.
type Link struct {
	Name      string            `json:"name"`
	Kind      string            `json:"kind"`
	Version   string            `json:"version"`
	Subnet    string            `json:"subnet"`
	Transport string            `json:"transport"`
	ID        string            `json:"id"`
	Addr      string            `json:"addr,omitempty"` // where it listens
	Elected   bool              `json:"elected"`        // it does what one of several bridges has to do
	Peers     []OldPeer         `json:"peers"`
	Authors   int               `json:"authors"` // native ones that old nodes can reply to
	In        uint64            `json:"in"`
	Out       uint64            `json:"out"`
	Dropped   map[string]uint64 `json:"dropped"` // by reason
	Refused   []Refusal         `json:"refused"` // the last 16
}

// An OldPeer is an old node that a link is connected with.
type OldPeer struct {
	ID       string    `json:"id"`
	Addr     string    `json:"addr,omitempty"`
	Remote   string    `json:"remote"`
	Language string    `json:"language,omitempty"`
	Outgoing bool      `json:"outgoing"`
	Since    time.Time `json:"since"`
}

// A Refusal is a connection that one of the two ends refused, and the reason.
type Refusal struct {
	Time   time.Time `json:"time"`
	Remote string    `json:"remote"`
	Why    string    `json:"why"`
}
