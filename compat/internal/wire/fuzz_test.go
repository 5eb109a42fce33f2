package wire

import (
	"bytes"
	"testing"
)

// A message that was read is written so that it reads the same, and nothing takes more memory than
// its limits allow.
func FuzzDecode(f *testing.F) {
	for _, v := range Versions {
		var file struct{ Rows []row }
		load(f, "messages-"+v.String()+".json", &file)
		for _, r := range file.Rows {
			if r.Frame != "" && len(r.Frame) < 2000 {
				f.Add(uint8(v), unhex(f, r.Frame)[4:])
			}
		}
	}
	f.Fuzz(func(t *testing.T, version uint8, body []byte) {
		v := V4 + Version(version%4)
		m, err := Decode(v, body)
		if err != nil {
			return
		}
		m.Main()
		m.Sub()
		v.ParseGreeting(m.Args())
		for _, p := range m.Packets {
			v.ParsePeers(p)
			v.ParseListed(p)
		}
		again, err := Encode(m)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		n, err := Decode(v, again)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		third, err := Encode(n)
		if err != nil || !bytes.Equal(again, third) || n.Sender != m.Sender || n.Time != m.Time || len(n.Packets) != len(m.Packets) {
			t.Fatalf("%x\nis written as\n%x\nand then as\n%x, %v", body, again, third, err)
		}
	})
}

func FuzzDecompress(f *testing.F) {
	for _, m := range []Method{BZ2, Gzip, LZMA, Zlib, Snappy} {
		f.Add(uint8(m), []byte("text"))
		if b, err := Compress(m, []byte("text")); err == nil {
			f.Add(uint8(m), b)
		}
	}
	f.Fuzz(func(t *testing.T, method uint8, body []byte) {
		out, err := Decompress(Method(method), body)
		if err == nil && len(out) > max(1<<20, bomb*len(body)) {
			t.Fatalf("%d bytes become %d", len(body), len(out))
		}
	})
}
