package compat

// CORE: values of Go as old nodes have them, and back.

import (
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"github.com/p2p-today/go2p/compat/internal/wire"
	"github.com/p2p-today/go2p/internal/value"
)

// fromGo are packets as they travel: bytes only in 0.4 and 0.5.
func fromGo(v wire.Version, packets []any) ([]any, error) {
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

// wireValue is a normalized value as it travels.
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

func sameValue(a, b any) bool {
	x, errX := wire.AppendValue(nil, a)
	y, errY := wire.AppendValue(nil, b)
	return errX == nil && errY == nil && string(x) == string(y)
}

func toGo(packets []any) []any {
	out := make([]any, len(packets))
	for i, p := range packets {
		out[i] = goValue(p)
	}
	return out
}

// goValue is a value that came. Keys of maps become text, as js makes them, and an
// extension its bytes.
func goValue(v any) any {
	switch v := v.(type) {
	case []any:
		return toGo(v)
	case wire.Map:
		m := make(map[string]any, len(v))
		for _, p := range v {
			key, ok := wire.Text(p.Key)
			if !ok {
				key = fmt.Sprint(goValue(p.Key))
			}
			m[key] = goValue(p.Value)
		}
		return m
	case wire.Ext:
		return []byte(v)
	case []byte:
		return slices.Clone(v) // of a frame
	}
	return v
}

// messageID is the ID of a message as text.
func messageID(m *wire.Message) string {
	if m.Version.Typed() {
		return hex.EncodeToString([]byte(m.ID))
	}
	return m.ID
}
