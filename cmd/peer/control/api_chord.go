package control

// A ChordItem is a key of the table with its value, and how it was found.
type ChordItem struct {
	Key      Key         `json:"key"`
	Value    any         `json:"value"` // as value.JSON gives it
	Writer   string      `json:"writer,omitempty"`
	Version  uint64      `json:"version,omitempty"`
	Replicas []string    `json:"homes,omitempty"`
	Trace    []TraceStep `json:"trace,omitempty"`
	Took     float64     `json:"took_ms,omitempty"`
}

// A TraceStep is one question on the way to a value.
type TraceStep struct {
	Peer   string  `json:"peer"`
	Slot   uint64  `json:"slot"`
	Role   string  `json:"role"`
	Answer string  `json:"answer"`
	Took   float64 `json:"took_ms"`
}

// A TaskLine is a line of the answer to join or leave: progress, the end, or an error.
type TaskLine struct {
	Event string `json:"event"` // chord-progress, chord-joined, chord-left, error
	Task  string `json:"task,omitempty"`
	Done  uint64 `json:"done,omitempty"`
	Total uint64 `json:"total,omitempty"`
	Slot  uint64 `json:"slot,omitempty"`
	Error *Error `json:"error,omitempty"`
}

// A Ring is the peers that store, by slot.
type Ring struct {
	K       int        `json:"k"`
	Nodes   []RingNode `json:"nodes"`
	Fingers []Finger   `json:"fingers"` // of this peer
}

// A RingNode is a peer that stores.
type RingNode struct {
	ID          string   `json:"id"`
	Slot        uint64   `json:"slot"`
	Self        bool     `json:"self"`
	Keys        int      `json:"keys"`
	Share       float64  `json:"share"` // of the circle
	Backfilling bool     `json:"filling"`
	Successors  []string `json:"next"` // the peers that follow it, as it knows them
}

// A Finger is the first peer that this peer knows at or after a slot.
type Finger struct {
	Goal uint64 `json:"goal"`
	Slot uint64 `json:"slot"`
	ID   string `json:"id"`
}

// A ChordStatus is the state of this peer's part of the table.
type ChordStatus struct {
	K           int    `json:"k"`
	Stores      bool   `json:"stores"`
	Slot        uint64 `json:"slot"`
	Keys        int    `json:"keys"` // stored here
	Bytes       int64  `json:"bytes"`
	MaxBytes    int64  `json:"max_bytes"`
	Known       int    `json:"known_peers"` // that store, or did
	Backfilling bool   `json:"filling"`
	Refused     string `json:"refused,omitempty"`
	Failed      string `json:"failed,omitempty"`
}
