package control

import "time"

// TimeoutHeader is the header with the time that the client waits for the answer, such as 10s.
const TimeoutHeader = "Go2p-Timeout"

// Status is the state of a peer.
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

	Chord ChordStatus `json:"chord"`
}

// Counts are numbers of messages.
type Counts struct {
	Broadcasts uint64 `json:"broadcasts"`
	Whispers   uint64 `json:"whispers"`
}

// A LogEntry is an error with a peer.
type LogEntry struct {
	Time  time.Time `json:"time"`
	Peer  string    `json:"peer"`
	Error string    `json:"error"`
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

// Progress is the progress of a long task.
type Progress struct {
	Task  string `json:"task"` // fill, hand-over
	Done  uint64 `json:"done"`
	Total uint64 `json:"total"`
	Over  bool   `json:"over"`
}

// A DoctorRequest says what the doctor examines.
type DoctorRequest struct {
	Target string `json:"target,omitempty"` // a peer ID or a multiaddr that ends in one: the way to it, too
}

// StepHello is the step that connects. Its failure has no hint, but the code of an error of the mesh.
const StepHello = "hello"

// A Step is one finding of the doctor. The steps after one that is not OK depend on it and may be missing.
type Step struct {
	Step string `json:"step"`
	OK   bool   `json:"ok"`
	Says string `json:"says"`
	Hint string `json:"hint,omitempty"` // what to do, where that depends on what was found
	Code Code   `json:"code,omitempty"` // of a step that is not OK
}

// OK is the answer to a request that has no result.
type OK struct {
	OK bool `json:"ok"`
}
