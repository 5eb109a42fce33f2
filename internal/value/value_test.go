package value

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestNormalize_WidensNumbers(t *testing.T) {
	for _, c := range []struct{ in, want any }{
		{nil, nil}, {true, true}, {"é", "é"}, {[]byte{0xff}, []byte{0xff}},
		{1, int64(1)}, {int8(-1), int64(-1)}, {uint16(7), int64(7)},
		{uint64(math.MaxInt64), int64(math.MaxInt64)},
		{uint64(math.MaxInt64) + 1, uint64(math.MaxInt64) + 1},
		{float32(0.5), 0.5},
		{[]any{1, []any{}}, []any{int64(1), []any{}}},
		{map[string]any{"a": uint8(1)}, map[string]any{"a": int64(1)}},
	} {
		got, err := Normalize(c.in)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("Normalize(%#v) = %#v, %v; want %#v", c.in, got, err, c.want)
		}
	}
}

func TestNormalize_RefusesOtherTypes(t *testing.T) {
	deep := any(0)
	for range MaxDepth + 1 {
		deep = []any{deep}
	}
	for _, c := range []struct {
		in   any
		path string
	}{
		{make(chan int), ""}, {struct{}{}, ""}, {"\xff", ""}, {time.Second, ""},
		{[]any{0, map[string]any{"k": []string{}}}, `[1]["k"]`},
		{map[string]any{"\xff": 1}, `["\xff"]`},
		{map[int]any{}, ""},
		{deep, strings.Repeat("[0]", MaxDepth+1)},
		{[]any{make([]any, MaxValues)}, fmt.Sprintf("[0][%d]", MaxValues-2)},
	} {
		_, err := Normalize(c.in)
		te, ok := errors.AsType[*TypeError](err)
		if !ok || te.Path != c.path {
			t.Errorf("Normalize(%#v): %v, want a *TypeError at %q", c.in, err, c.path)
		}
	}
}

// values draws any value of the data model.
func values() *rapid.Generator[any] {
	leaf := rapid.OneOf(
		rapid.Just[any](nil),
		rapid.Bool().AsAny(), rapid.Int64().AsAny(), rapid.String().AsAny(),
		rapid.SliceOf(rapid.Byte()).AsAny(), rapid.Float64().AsAny(),
		rapid.Uint64Min(math.MaxInt64+1).AsAny(),
	)
	list := rapid.SliceOfN(leaf, 0, 4).AsAny()
	return rapid.OneOf(leaf, list,
		rapid.MapOfN(rapid.String(), rapid.OneOf(leaf, list), 0, 4).AsAny())
}

func TestEncode_KeepsTypes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOfN(values(), 0, 5).Draw(t, "values")
		data, err := Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Unmarshal(data)
		if err != nil || !reflect.DeepEqual(got, append([]any{}, want...)) {
			t.Fatalf("%#v came back as %#v, %v", want, got, err)
		}
	})
}

func TestJSON_KeepsTypes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := values().Draw(t, "value")
		if m, ok := v.(map[string]any); ok && len(m) == 1 && (m["b64"] != nil || m["f64"] != nil) {
			t.Skip("the names of the two escapes")
		}
		text, err := json.Marshal(JSON(v))
		if err != nil {
			t.Fatal(err)
		}
		got, err := FromJSON(text)
		if err != nil {
			t.Fatal(err)
		}
		again, err := json.Marshal(JSON(got))
		if err != nil || !bytes.Equal(text, again) {
			t.Fatalf("%s came back as %s, %v", text, again, err)
		}
		if _, isFloat := v.(float64); isFloat && !reflect.DeepEqual(got, v) {
			t.Fatalf("%#v came back as %#v", v, got)
		}
	})
}

func TestFromJSON_ReadsAnyJSON(t *testing.T) {
	for text, want := range map[string]any{
		`1`: int64(1), `1.0`: 1.0, `1e3`: 1000.0, `18446744073709551615`: uint64(math.MaxUint64),
		`{"b64":"/w=="}`: []byte{0xff}, `{"b64":1}`: map[string]any{"b64": int64(1)},
		`[null,true,"x"]`: []any{nil, true, "x"},
	} {
		got, err := FromJSON([]byte(text))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("FromJSON(%s) = %#v, %v; want %#v", text, got, err, want)
		}
	}
	for _, bad := range []string{``, `{`, `1 2`, `1e999`, `{"b64":"%"}`} {
		if got, err := FromJSON([]byte(bad)); err == nil {
			t.Errorf("FromJSON(%s) = %#v, want an error", bad, got)
		}
	}
}

func FuzzUnmarshal(f *testing.F) {
	for _, vs := range [][]any{{}, {nil, true, int64(-1)}, {"a", []byte{1}}, {map[string]any{"k": []any{1.5}}}} {
		data, err := Marshal(vs)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte{0x9f, 0xff})                               // indefinite length
	f.Add([]byte{0x81, 0xc1, 0x00})                         // a tag
	f.Add([]byte{0x9b, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}) // a list of 2^63
	f.Fuzz(func(t *testing.T, data []byte) {
		vs, err := Unmarshal(data)
		if err != nil {
			return
		}
		canonical, err := Marshal(vs)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Unmarshal(canonical)
		if err != nil {
			t.Fatal(err)
		}
		if recoded, err := Marshal(again); err != nil || !bytes.Equal(recoded, canonical) {
			t.Fatalf("%x became %x, %v", canonical, recoded, err)
		}
	})
}

func FuzzFromJSON(f *testing.F) {
	f.Add([]byte(`{"a":[1,2.5,{"b64":"AA=="}]}`))
	f.Add([]byte(`{"f64":"NaN"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := FromJSON(data)
		if err != nil {
			return
		}
		if _, err := json.Marshal(JSON(v)); err != nil {
			t.Fatal(err)
		}
	})
}

func TestValid_AcceptsWhatEncodeWrites(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := values().Draw(t, "value")
		data, err := Encode(want)
		if err != nil || !Valid(data) {
			t.Fatalf("%#v: %x, %v is not valid", want, data, err)
		}
		if got, err := Decode(data); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%#v came back as %#v, %v", want, got, err)
		}
	})
	deep := any(nil)
	for range MaxDepth {
		deep = []any{deep}
	}
	for want, v := range map[bool]any{true: deep, false: []any{deep}} {
		data, err := Encode(v)
		if valid := Valid(data); (err == nil) != want || err == nil && !valid {
			t.Errorf("%d levels: %v, valid %v", MaxDepth, err, valid)
		}
	}
}
