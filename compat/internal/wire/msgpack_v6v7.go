package wire

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math"

	"github.com/tinylib/msgp/msgp"
)

// A Map is a map of msgpack, in the order of its bytes.
type Map []Pair

// A Pair is a key of a map and its value.
type Pair struct{ Key, Value any }

// An Ext is an extension of msgpack, as it travels.
type Ext []byte

func decode6(body []byte) (*Message, error) {
	if len(body) < sha256.Size {
		return nil, fmt.Errorf("%w: %d bytes", ErrLayout, len(body))
	}
	id, rest := body[:sha256.Size], body[sha256.Size:]
	if sum := sha256.Sum256(rest); !bytes.Equal(id, sum[:]) {
		return nil, ErrChecksum
	}
	if msgp.NextType(rest) != msgp.ArrayType {
		return nil, fmt.Errorf("%w: not an array", ErrValue)
	}
	v, _, err := readValue(rest, 0) // what comes behind the array is allowed, and ignored
	if err != nil {
		return nil, err
	}
	packets := v.([]any)
	if len(packets) < 3 || len(packets) > 3+MaxPackets {
		return nil, fmt.Errorf("%w: %d", ErrPackets, len(packets))
	}
	m := &Message{Flag: packets[0], ID: string(id), Packets: packets[3:]}
	switch sender := packets[1].(type) {
	case string:
		m.Sender = sender
	case []byte:
		m.Sender, m.SenderBin = string(sender), true
	default:
		return nil, fmt.Errorf("%w: %T", ErrSender, sender)
	}
	time, ok := Int(packets[2])
	if !ok || time <= 0 {
		return nil, fmt.Errorf("%w: %v", ErrTime, packets[2])
	}
	m.Time = time
	return m, nil
}

func encode6(m *Message) ([]byte, error) {
	body := make([]byte, sha256.Size, 256)
	body = msgp.AppendArrayHeader(body, uint32(3+len(m.Packets)))
	body, err := AppendValue(body, m.Flag)
	if m.SenderBin {
		body = msgp.AppendBytes(body, []byte(m.Sender))
	} else {
		body = msgp.AppendString(body, m.Sender)
	}
	body = appendInt(body, m.Time)
	for _, p := range m.Packets {
		if err == nil {
			body, err = AppendValue(body, p)
		}
	}
	if err != nil {
		return nil, err
	}
	body = append(body, m.Tail...)
	if m.Aligned {
		body = append(body, make([]byte, (8-(4+len(body))%8)%8)...)
	}
	sum := sha256.Sum256(body[sha256.Size:])
	copy(body, sum[:])
	m.ID = string(sum[:])
	return body, nil
}

// readValue reads one value, and returns what is left.
func readValue(b []byte, depth int) (v any, rest []byte, err error) {
	if depth > maxDepth {
		return nil, nil, ErrNested
	}
	switch msgp.NextType(b) {
	case msgp.NilType:
		rest, err = msgp.ReadNilBytes(b)
	case msgp.BoolType:
		v, rest, err = wrap(msgp.ReadBoolBytes(b))
	case msgp.IntType:
		v, rest, err = wrap(msgp.ReadInt64Bytes(b))
	case msgp.UintType:
		var n uint64
		if n, rest, err = msgp.ReadUint64Bytes(b); n <= math.MaxInt64 {
			v = int64(n)
		} else {
			v = n
		}
	case msgp.Float64Type:
		v, rest, err = wrap(msgp.ReadFloat64Bytes(b))
	case msgp.Float32Type:
		var f float32
		f, rest, err = msgp.ReadFloat32Bytes(b)
		v = float64(f)
	case msgp.StrType:
		var s []byte
		s, rest, err = msgp.ReadStringZC(b)
		v = string(s)
	case msgp.BinType:
		v, rest, err = wrap(msgp.ReadBytesZC(b))
	case msgp.ArrayType:
		return readList(b, depth)
	case msgp.MapType:
		return readMap(b, depth)
	case msgp.InvalidType:
		return nil, nil, ErrValue
	default:
		if rest, err = msgp.Skip(b); err == nil {
			v = Ext(b[:len(b)-len(rest)])
		}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrValue, err)
	}
	return v, rest, nil
}

func wrap[T any](v T, rest []byte, err error) (any, []byte, error) { return v, rest, err }

func readList(b []byte, depth int) (any, []byte, error) {
	n, rest, err := msgp.ReadArrayHeaderBytes(b)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrValue, err)
	}
	if err := fits(n, 1, rest); err != nil {
		return nil, nil, err
	}
	list := make([]any, n)
	for i := range list {
		if list[i], rest, err = readValue(rest, depth+1); err != nil {
			return nil, nil, err
		}
	}
	return list, rest, nil
}

func readMap(b []byte, depth int) (any, []byte, error) {
	n, rest, err := msgp.ReadMapHeaderBytes(b)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrValue, err)
	}
	if err := fits(n, 2, rest); err != nil {
		return nil, nil, err
	}
	m := make(Map, n)
	for i := range m {
		if m[i].Key, rest, err = readValue(rest, depth+1); err != nil {
			return nil, nil, err
		}
		if m[i].Value, rest, err = readValue(rest, depth+1); err != nil {
			return nil, nil, err
		}
	}
	return m, rest, nil
}

// fits checks an announced count against what is there, before memory is taken for it.
func fits(n uint32, each int, rest []byte) error {
	if n > maxElements {
		return fmt.Errorf("%w: %d elements", ErrNested, n)
	}
	if int(n)*each > len(rest) {
		return fmt.Errorf("%w: %d elements in %d bytes", ErrValue, n, len(rest))
	}
	return nil
}

// AppendValue appends a value as py writes it, in the shortest form except for floats. Error: ErrValue if a message
// cannot hold it.
func AppendValue(b []byte, v any) ([]byte, error) {
	var err error
	switch v := v.(type) {
	case nil:
		return msgp.AppendNil(b), nil
	case bool:
		return msgp.AppendBool(b, v), nil
	case int64:
		return appendInt(b, v), nil
	case uint64:
		return msgp.AppendUint64(b, v), nil
	case float64:
		return msgp.AppendFloat64(b, v), nil
	case string:
		return msgp.AppendString(b, v), nil
	case []byte:
		return msgp.AppendBytes(b, v), nil
	case Ext:
		return append(b, v...), nil
	case []any:
		b = msgp.AppendArrayHeader(b, uint32(len(v)))
		for _, item := range v {
			if b, err = AppendValue(b, item); err != nil {
				return nil, err
			}
		}
		return b, nil
	case Map:
		b = msgp.AppendMapHeader(b, uint32(len(v)))
		for _, p := range v {
			if b, err = AppendValue(b, p.Key); err != nil {
				return nil, err
			}
			if b, err = AppendValue(b, p.Value); err != nil {
				return nil, err
			}
		}
		return b, nil
	}
	return nil, fmt.Errorf("%w: %T", ErrValue, v)
}

func appendInt(b []byte, n int64) []byte {
	if n >= 0 {
		return msgp.AppendUint64(b, uint64(n))
	}
	return msgp.AppendInt64(b, n)
}

// Int returns a whole number. js makes floats of large ones.
func Int(v any) (int64, bool) {
	switch v := v.(type) {
	case int64:
		return v, true
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return int64(v), true
		}
	}
	return 0, false
}

// Text returns text, or the bytes that py has for it.
func Text(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case []byte:
		return string(v), true
	}
	return "", false
}
