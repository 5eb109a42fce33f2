package dcbor

import (
	"bytes"
	"testing"
)

func TestDecoder_KeepsLimits(t *testing.T) {
	dec := Decoder(16, 4)
	for name, data := range map[string][]byte{
		"array too long":    append([]byte{0x91}, make([]byte, 17)...),
		"nested too deep":   {0x81, 0x81, 0x81, 0x81, 0x81, 0x01},
		"indefinite length": {0x9f, 0xff},
		"tag":               {0xc1, 0x00},
		"key twice":         {0xa2, 0x61, 'a', 0x01, 0x61, 'a', 0x02},
		"invalid UTF-8":     {0x61, 0xff},
		"huge announcement": {0x9b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"more than one":     {0x01, 0x02},
	} {
		var v any
		if err := dec.Unmarshal(data, &v); err == nil {
			t.Errorf("%s was decoded as %v", name, v)
		}
	}
}

func TestMarshal_SortsMaps(t *testing.T) {
	got, err := Marshal(map[string]any{"b": 1, "a": 2, "aa": 3})
	if want := []byte{0xa3, 0x61, 'a', 2, 0x61, 'b', 1, 0x62, 'a', 'a', 3}; err != nil || !bytes.Equal(got, want) {
		t.Errorf("%x, %v", got, err)
	}
}
