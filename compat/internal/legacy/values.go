package legacy

import (
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"github.com/p2p-today/go2p/compat/internal/wire"
	"github.com/p2p-today/go2p/internal/value"
)

// FromGo returns packets as they travel, which in 0.4 and 0.5 are bytes. Errors: ErrValue, ErrTooLarge.
func FromGo(v wire.Version, packets []any) ([]any, error) {
	if len(packets) >= wire.MaxPackets {
		return nil, fmt.Errorf("%w: %d packets", ErrTooLarge, len(packets))
	}
	out := make([]any, len(packets))
	size := 0
	for i, p := range packets {
		p, err := value.Normalize(p)
		if err != nil {
			return nil, err
		}
		out[i] = wireValue(p)
		if text, ok := wire.Text(out[i]); ok && !v.Typed() {
			out[i] = []byte(text)
		} else if !v.Typed() {
			return nil, fmt.Errorf("%w: %s has text and bytes, not %T", ErrValue, v, p)
		}
		if size += weight(out[i]); size > wire.MaxFrame-1024 {
			return nil, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, wire.MaxFrame)
		}
	}
	return out, nil
}

// wireValue returns a normalized value as it travels.
func wireValue(v any) any {
	switch v := v.(type) {
	case []any:
		list := make([]any, len(v))
		for i, item := range v {
			list[i] = wireValue(item)
		}
		return list
	case map[string]any:
		m := wire.Map{}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			m = append(m, wire.Pair{Key: key, Value: wireValue(v[key])})
		}
		return m
	}
	return v
}

// SameValue reports whether two values, as they travel, are equal to the byte.
func SameValue(a, b any) bool {
	x, errX := wire.AppendValue(nil, a)
	y, errY := wire.AppendValue(nil, b)
	return errX == nil && errY == nil && string(x) == string(y)
}

// listToGo returns packets as Go has them.
func listToGo(packets []any) []any {
	out := make([]any, len(packets))
	for i, p := range packets {
		out[i] = ToGo(p)
	}
	return out
}

// ToGo returns a value that has travelled as Go has it. Keys of maps become text, as js makes them, and an extension
// its bytes.
func ToGo(v any) any {
	switch v := v.(type) {
	case []any:
		return listToGo(v)
	case wire.Map:
		m := make(map[string]any, len(v))
		for _, p := range v {
			key, ok := wire.Text(p.Key)
			if !ok {
				key = fmt.Sprint(ToGo(p.Key))
			}
			m[key] = ToGo(p.Value)
		}
		return m
	case wire.Ext:
		return []byte(v)
	case []byte:
		return slices.Clone(v) // not the frame's
	}
	return v
}

// messageID returns the ID of a message as text.
func messageID(m *wire.Message) string {
	if m.Version.Typed() {
		return hex.EncodeToString([]byte(m.ID))
	}
	return m.ID
}

// weight returns about what a value takes in memory, in bytes.
func weight(v any) int {
	switch v := v.(type) {
	case string:
		return 16 + len(v)
	case []byte:
		return 24 + len(v)
	case wire.Ext:
		return 24 + len(v)
	case []any:
		n := 24
		for _, item := range v {
			n += weight(item)
		}
		return n
	case wire.Map:
		n := 24
		for _, p := range v {
			n += weight(p.Key) + weight(p.Value)
		}
		return n
	}
	return 16
}

// sortedKeys returns the keys of a map, sorted.
func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
