package control

import "time"

// A SyncItem is a key of the dictionary with its value and its lease.
type SyncItem struct {
	Key    Key       `json:"key"`
	Value  any       `json:"value"` // as value.JSON gives it
	Owner  string    `json:"owner"`
	Term   uint64    `json:"term"`
	Until  time.Time `json:"until"`
	Signed bool      `json:"signed"`
}

// A Lease is the lease of a key.
type Lease struct {
	Key    Key       `json:"key"`
	Owner  string    `json:"owner"`
	Term   uint64    `json:"term"`
	Until  time.Time `json:"until"`
	For    float64   `json:"for_s"`
	Signed bool      `json:"signed"`
}

// A Locked is a line of the answer to PathSyncLock: the lock is held, or lost.
type Locked struct {
	Event string    `json:"event"` // held, lost
	Term  uint64    `json:"term,omitempty"`
	Until time.Time `json:"until,omitzero"`
}

// A SyncStatus is the state of the dictionary.
type SyncStatus struct {
	Keys     int        `json:"keys"`
	Bytes    int64      `json:"bytes"`
	MaxBytes int64      `json:"max_bytes"`
	InSync   bool       `json:"level"` // with all neighbours, as far as is known, and there is room
	Full     bool       `json:"full"`
	Waiting  int        `json:"waiting"` // events that wait for earlier ones
	Lease    float64    `json:"lease_s"` // 0 without leases
	Term     uint64     `json:"term"`    // the highest seen
	Failed   string     `json:"failed,omitempty"`
	Peers    []SyncPeer `json:"peers"`
}

// A SyncPeer is the state of the synchronisation with a neighbour.
type SyncPeer struct {
	ID       string     `json:"id"`
	InSyncAt *time.Time `json:"level"` // when they were last found equal; null for never
	Refused  string     `json:"refused,omitempty"`
	Skew     float64    `json:"clock_s"` // its clock less this peer's
}
