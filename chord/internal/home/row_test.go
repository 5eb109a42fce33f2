package home

import (
	"bytes"
	"testing"
	"time"
)

func FuzzRow(f *testing.F) {
	f.Add(AppendRow(nil, Write{Version: Version{Counter: 1, Writer: "w", Hash: 2}, At: time.UnixMilli(5)}, "value"))
	f.Fuzz(func(t *testing.T, data []byte) {
		w, value, err := ScanRow(data)
		if err != nil {
			return
		}
		if again := AppendRow(nil, w, string(value)); !bytes.Equal(again, data) {
			t.Errorf("%x became %x", data, again)
		}
	})
}
