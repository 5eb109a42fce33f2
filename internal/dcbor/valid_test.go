package dcbor

import (
	"bytes"
	"math"
	"testing"
)

// What is valid is what the library decodes and encodes to the same bytes.
func FuzzValid(f *testing.F) {
	for _, v := range []any{
		nil, true, 0, -1, uint64(math.MaxUint64), "text", []byte{0xff}, 1.5, 1e300, math.Inf(1), math.NaN(), 5.960464477539063e-08, 1.1,
		float64(math.MaxFloat32), 65504.0, 6.097555160522461e-05, []any{1, []any{}}, map[string]any{"a": 1, "bb": nil},
	} {
		data, err := Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		if !Valid(data, 100, 8) {
			f.Errorf("%v is not valid: %x", v, data)
		}
		f.Add(data)
	}
	f.Add([]byte{0x9b, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0})
	f.Add([]byte{0xa2, 0x61, 'b', 0, 0x61, 'a', 0})
	f.Add([]byte{0xfa, 0x3f, 0x80, 0, 0})
	dec := Decoder(100, 10)
	f.Fuzz(func(t *testing.T, data []byte) {
		var v any
		err := dec.Unmarshal(data, &v)
		var again []byte
		if err == nil {
			again, _ = Marshal(v)
		}
		same := err == nil && bytes.Equal(again, data)
		if Valid(data, 100, 8) && !same {
			t.Fatalf("%x is valid, but %v, and %x again", data, err, again)
		}
		if same && inModel(v) && len(data) < 100 && !Valid(data, 1000, 100) {
			t.Fatalf("%x is not valid", data)
		}
	})
}

func inModel(v any) bool {
	switch v := v.(type) {
	case nil, bool, int64, uint64, float64, string, []byte:
		return true
	case []any:
		for _, e := range v {
			if !inModel(e) {
				return false
			}
		}
		return true
	case map[string]any:
		for _, e := range v {
			if !inModel(e) {
				return false
			}
		}
		return true
	}
	return false
}
