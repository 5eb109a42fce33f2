// Package dcbor encodes and decodes deterministic CBOR, the form of all go2p messages:
// core deterministic encoding (RFC 8949, section 4.2.1), without tags or indefinite
// lengths, and decoded within limits.
package dcbor

import (
	"reflect"

	"github.com/fxamacker/cbor/v2"
)

var encoder = must(cbor.CoreDetEncOptions().EncMode())

// Marshal encodes v.
func Marshal(v any) ([]byte, error) { return encoder.Marshal(v) }

// Decoder returns a decoder that refuses more elements in one array, more pairs in
// one map or deeper nesting.
func Decoder(elements, depth int) cbor.DecMode {
	return must(cbor.DecOptions{
		DupMapKey:        cbor.DupMapKeyEnforcedAPF,
		IndefLength:      cbor.IndefLengthForbidden,
		TagsMd:           cbor.TagsForbidden,
		UTF8:             cbor.UTF8RejectInvalid,
		MaxArrayElements: elements,
		MaxMapPairs:      elements,
		MaxNestedLevels:  depth,
		DefaultMapType:   reflect.TypeFor[map[string]any](),
	}.DecMode())
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
