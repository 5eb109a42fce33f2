// Package value is the data model that all models of go2p share: what a packet
// of a message or a value of a dictionary may be, and its two encodings.
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

	"github.com/fxamacker/cbor/v2"
)

// MaxDepth is how deep lists and maps may be nested.
const MaxDepth = 32

// A TypeError says that a value is outside of the data model.
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
// its range, float64), or a *TypeError. Lists and maps are copied, so what the
// caller does with its own later changes nothing; byte slices are not copied.
func Normalize(v any) (any, error) { return normalize(v, "", 0) }

func normalize(v any, path string, depth int) (any, error) {
	if depth > MaxDepth {
		return nil, &TypeError{path, fmt.Sprintf("nested deeper than %d", MaxDepth)}
	}
	switch v := v.(type) {
	case nil, bool, int64, float64, []byte:
		return v, nil
	case string:
		if !utf8.ValidString(v) {
			return nil, &TypeError{path, "string is not valid UTF-8 (use []byte for bytes)"}
		}
		return v, nil
	case []any:
		list := make([]any, len(v))
		for i, item := range v {
			n, err := normalize(item, path+"["+strconv.Itoa(i)+"]", depth+1)
			if err != nil {
				return nil, err
			}
			list[i] = n
		}
		return list, nil
	case map[string]any:
		m := make(map[string]any, len(v))
		for k, item := range v {
			at := path + "[" + strconv.Quote(k) + "]"
			if !utf8.ValidString(k) {
				return nil, &TypeError{at, "key is not valid UTF-8"}
			}
			n, err := normalize(item, at, depth+1)
			if err != nil {
				return nil, err
			}
			m[k] = n
		}
		return m, nil
	}
	return number(reflect.ValueOf(v), path)
}

// number widens the other integer and float types of Go.
func number(v reflect.Value, path string) (any, error) {
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
	return nil, &TypeError{path, fmt.Sprintf("%s is no type of the data model", v.Type())}
}

var (
	encMode = must(cbor.CoreDetEncOptions().EncMode())
	decMode = must(cbor.DecOptions{
		DupMapKey:       cbor.DupMapKeyEnforcedAPF,
		IndefLength:     cbor.IndefLengthForbidden,
		TagsMd:          cbor.TagsForbidden,
		MaxNestedLevels: MaxDepth + 2,
		DefaultMapType:  reflect.TypeFor[map[string]any](),
		UTF8:            cbor.UTF8RejectInvalid,
	}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Marshal encodes values, which must be normalized, as one CBOR array.
func Marshal(values []any) ([]byte, error) { return encMode.Marshal(values) }

// Unmarshal decodes what Marshal wrote. Whatever it returns without an error is
// inside of the data model; anything else is an error.
func Unmarshal(data []byte) ([]any, error) {
	var list []any
	if err := decMode.Unmarshal(data, &list); err != nil {
		return nil, err
	}
	v, err := Normalize(list)
	if err != nil {
		return nil, err
	}
	return v.([]any), nil
}
