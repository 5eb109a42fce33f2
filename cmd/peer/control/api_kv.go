package control

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/p2p-today/go2p/internal/value"
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
		return errors.New(`a key is text, or bytes as {"b64":"…"}`)
	}
	return nil
}

// A KeyRequest names a key. Value and Acks are for writes.
type KeyRequest struct {
	Key   Key             `json:"key"`
	Value json.RawMessage `json:"value,omitempty"` // as value.FromJSON reads it
	Acks  int             `json:"acks,omitempty"`  // members to wait for
}

// An UpdateRequest sets several keys. The dictionary sets all or none.
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
		return errors.New(`not of the form {"key":…,"value":…}`)
	}
	v, err := value.FromJSON(raw.Value)
	kv.Key, kv.Value = *raw.Key, v
	return err
}

// A ListLine is a line of the list of a store: a SyncItem or a ChordItem, or the error that ended the list.
type ListLine struct {
	Key   Key             `json:"key"`
	Value json.RawMessage `json:"value"`
	Error *Error          `json:"error,omitempty"`
}

// A Change is a change of a key.
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
