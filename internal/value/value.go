// Package value is the data model of go2p: what a packet of a message or a value of a
// dictionary may be, and its two encodings.
//
// It is the msgpack model of protocols 0.6 and 0.7, in Go: nil, bool, int64
// (uint64 above its range), float64, valid UTF-8 string, []byte, []any and
// map[string]any. Types are kept: 1 and 1.0 are two values, and so are "a" and
// the byte 0x61. On the wire a value is CBOR in its core deterministic form.
package value

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"unicode/utf8"

	"github.com/p2p-today/go2p/internal/dcbor"
)

const (
	// MaxDepth is how deep lists and maps may be nested.
	MaxDepth = 32
	// MaxValues is how many values one may contain, nested ones included. A small value
	// takes many times more memory than bytes on the wire.
	MaxValues = 1 << 16
)

// A TypeError reports a value outside of the data model.
type TypeError struct {
	Path   string // where in the value, such as `[0]["colour"]`; empty for the value itself
	Reason string // such as "chan int is no type of the data model"
}

func (e *TypeError) Error() string {
	if e.Path == "" {
		return "value: " + e.Reason
	}
	return "value at " + e.Path + ": " + e.Reason
}

// Normalize returns v with every number in its widest type (int64, uint64 above
// its range, float64), or a *TypeError. Lists and maps are copied, so that later changes
// of the caller's have no effect; byte slices are not copied.
func Normalize(v any) (any, error) {
	left := MaxValues
	return normalize(v, 0, &left)
}

// normalize is Normalize at a depth, with *left values left.
func normalize(v any, depth int, left *int) (any, error) {
	if depth > MaxDepth {
		return nil, &TypeError{"", fmt.Sprintf("nested deeper than %d", MaxDepth)}
	}
	if *left--; *left < 0 {
		return nil, &TypeError{"", fmt.Sprintf("more than %d values", MaxValues)}
	}
	switch v := v.(type) {
	case nil, bool, int64, float64, []byte:
		return v, nil
	case string:
		if !utf8.ValidString(v) {
			return nil, &TypeError{"", "string is not valid UTF-8 (use []byte for bytes)"}
		}
		return v, nil
	case []any:
		list := make([]any, len(v))
		for i, item := range v {
			n, err := normalize(item, depth+1, left)
			if err != nil {
				return nil, inside(err, strconv.Itoa(i))
			}
			list[i] = n
		}
		return list, nil
	case map[string]any:
		m := make(map[string]any, len(v))
		for k, item := range v {
			if !utf8.ValidString(k) {
				return nil, &TypeError{"[" + strconv.Quote(k) + "]", "key is not valid UTF-8"}
			}
			n, err := normalize(item, depth+1, left)
			if err != nil {
				return nil, inside(err, strconv.Quote(k))
			}
			m[k] = n
		}
		return m, nil
	}
	return number(reflect.ValueOf(v))
}

// inside adds the path of an element of a list or map to a TypeError.
func inside(err error, index string) error {
	e := err.(*TypeError)
	e.Path = "[" + index + "]" + e.Path
	return e
}

// number widens the other integer and float types of Go.
func number(v reflect.Value) (any, error) {
	switch {
	case v.Type().PkgPath() != "": // a named type such as time.Duration would lose its meaning
	case v.CanInt():
		return v.Int(), nil
	case v.CanUint():
		if u := v.Uint(); u > math.MaxInt64 {
			return u, nil
		}
		return int64(v.Uint()), nil
	case v.CanFloat():
		return v.Float(), nil
	}
	return nil, &TypeError{"", fmt.Sprintf("%s is no type of the data model", v.Type())}
}

var decoder = dcbor.Decoder(MaxValues, MaxDepth+2)

// Encode normalizes and encodes one value.
func Encode(v any) ([]byte, error) {
	v, err := Normalize(v)
	if err != nil {
		return nil, err
	}
	return dcbor.Marshal(v)
}

// Decode decodes what Encode wrote.
func Decode(data []byte) (any, error) {
	var v any
	if err := decoder.Unmarshal(data, &v); err != nil {
		return nil, err
	}
	return Normalize(v)
}

// Valid reports whether data has the form that Encode writes, without decoding it.
func Valid(data []byte) bool { return dcbor.Valid(data, MaxValues, MaxDepth) }

// Marshal encodes values, which must be normalized, as one CBOR array.
func Marshal(values []any) ([]byte, error) { return dcbor.Marshal(values) }

// Unmarshal decodes what Marshal wrote. Values that it returns are inside of the data model;
// anything else is an error.
func Unmarshal(data []byte) ([]any, error) {
	var list []any
	if err := decoder.Unmarshal(data, &list); err != nil {
		return nil, err
	}
	v, err := Normalize(list)
	if err != nil {
		return nil, err
	}
	return v.([]any), nil
}
