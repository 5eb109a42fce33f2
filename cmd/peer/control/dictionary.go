package control

import (
	"encoding/json"
	"time"

	"github.com/p2p-today/go2p/internal/value"
)

// The paths of the dictionary. Where they are of a key they take a KeyRequest.
const (
	PathGet    = "/v1/sync/get"
	PathSet    = "/v1/sync/set"
	PathDelete = "/v1/sync/delete"
	PathPop    = "/v1/sync/pop"
	PathDelta  = "/v1/sync/delta"
	PathUpdate = "/v1/sync/update"
	PathLease  = "/v1/sync/lease"
	PathItems  = "/v1/sync/items" // query: prefix=P, keys=1
	PathWatch  = "/v1/sync/watch" // query: prefix=P, from=REVISION
	PathLock   = "/v1/sync/lock"  // query: key=K; the lock is held while the request lasts
	PathSync   = "/v1/sync/status"
)

// A Key is a key as JSON has it: text, or {"b64":"…"} if it is not valid UTF-8.
type Key string

// MarshalJSON implements [json.Marshaler].
func (k Key) MarshalJSON() ([]byte, error) { return json.Marshal(value.JSON([]byte(k))) }

// UnmarshalJSON implements [json.Unmarshaler].
func (k *Key) UnmarshalJSON(data []byte) error {
	v, err := value.FromJSON(data)
	if err != nil {
		return err
	}
	switch v := v.(type) {
	case string:
		*k = Key(v)
	case []byte:
		*k = Key(v)
	default:
		return &Error{Text: "a key is text, or bytes as {\"b64\":\"…\"}", Exit: ExitUsage}
	}
	return nil
}

// A KeyRequest is about one key. Value and Acks are for those that write.
type KeyRequest struct {
	Key   Key             `json:"key"`
	Value json.RawMessage `json:"value,omitempty"` // as value.FromJSON reads it
	Acks  int             `json:"acks,omitempty"`  // members to wait for
}

// An UpdateRequest sets several keys, all or none.
type UpdateRequest struct {
	Items []KeyValue `json:"items"`
	Acks  int        `json:"acks,omitempty"`
}

// A KeyValue is a line of an export, and of what is imported.
type KeyValue struct {
	Key   Key `json:"key"`
	Value any `json:"value"` // as value.JSON gives it
}

// UnmarshalJSON implements [json.Unmarshaler]; the value is one of the data model.
func (kv *KeyValue) UnmarshalJSON(data []byte) error {
	var raw struct {
		Key   *Key            `json:"key"`
		Value json.RawMessage `json:"value"`
	}
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	if raw.Key == nil || raw.Value == nil {
		return &Error{Text: `not of the form {"key":…,"value":…}`, Exit: ExitUsage}
	}
	v, err := value.FromJSON(raw.Value)
	kv.Key, kv.Value = *raw.Key, v
	return err
}

// An Item is a key with its value and whose it is.
type Item struct {
	Key    Key       `json:"key"`
	Value  any       `json:"value"` // as value.JSON gives it
	Owner  string    `json:"owner"`
	Term   uint64    `json:"term"`
	Until  time.Time `json:"until"`
	Signed bool      `json:"signed"`
}

// A Lease says whose a key is.
type Lease struct {
	Key    Key       `json:"key"`
	Owner  string    `json:"owner"`
	Term   uint64    `json:"term"`
	Until  time.Time `json:"until"`
	For    float64   `json:"for_s"`
	Signed bool      `json:"signed"`
}

// A Change is what became of a key.
type Change struct {
	Event    string    `json:"event"` // update, delete, or reset: what is there follows anew
	Key      *Key      `json:"key,omitempty"`
	Value    any       `json:"value"`
	Old      any       `json:"old"`
	Owner    string    `json:"owner,omitempty"`
	Term     uint64    `json:"term,omitempty"`
	Time     time.Time `json:"time"`
	Revision string    `json:"revision,omitempty"`
}

// A Locked is a line of the answer to PathLock: the lock is held, or lost.
type Locked struct {
	Event string    `json:"event"` // held, lost
	Term  uint64    `json:"term,omitempty"`
	Until time.Time `json:"until,omitzero"`
}

// A SyncStatus is how the dictionary is.
type SyncStatus struct {
	Keys     int        `json:"keys"`
	Bytes    int64      `json:"bytes"`
	MaxBytes int64      `json:"max_bytes"`
	Level    bool       `json:"level"` // with all neighbours, as far as is known, and there is room
	Full     bool       `json:"full"`
	Waiting  int        `json:"waiting"` // events that wait for earlier ones
	Lease    float64    `json:"lease_s"` // 0 without leases
	Term     uint64     `json:"term"`    // the highest seen
	Failed   string     `json:"failed,omitempty"`
	Peers    []SyncPeer `json:"peers"`
}

// A SyncPeer is how this peer's dictionary stands with that of a neighbour.
type SyncPeer struct {
	ID      string     `json:"id"`
	Level   *time.Time `json:"level"` // when they were last found equal; null for never
	Refused string     `json:"refused,omitempty"`
	Skew    float64    `json:"clock_s"` // its clock less this peer's
}
