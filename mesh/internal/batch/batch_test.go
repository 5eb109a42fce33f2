package batch

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"github.com/p2p-today/go2p/internal/dcbor"
)

// The same as the library encodes it.
type (
	libraryBatch struct {
		_         struct{} `cbor:",toarray"`
		Body, Sig []byte
	}
	libraryBody struct {
		_         struct{} `cbor:",toarray"`
		Author    []byte
		Boot, Seq uint64
		Messages  []libraryMessage
	}
	libraryMessage struct {
		_       struct{} `cbor:",toarray"`
		Time    int64
		Packets []byte
	}
)

func TestBatch_BytesAreThoseOfTheLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw := rapid.SliceOfN(rapid.Byte(), 0, 300)
		lib := libraryBody{
			Author: raw.Draw(t, "author"), Boot: rapid.Uint64().Draw(t, "boot"), Seq: rapid.Uint64().Draw(t, "seq"),
			Messages: []libraryMessage{},
		}
		body := Batch{Author: lib.Author, Boot: lib.Boot, Seq: lib.Seq}
		for range rapid.IntRange(0, MaxMessages).Draw(t, "messages") {
			msg := Message{rapid.Int64().Draw(t, "time"), raw.Draw(t, "packets")}
			body.Messages = append(body.Messages, msg)
			lib.Messages = append(lib.Messages, libraryMessage{Time: msg.Time, Packets: msg.Packets})
		}
		want, err := dcbor.Marshal(lib)
		if err != nil {
			t.Fatal(err)
		}
		got := body.AppendBody(nil)
		if !bytes.Equal(got, want) {
			t.Fatalf("%x, the library has %x", got, want)
		}
		if len(got) > body.Size() {
			t.Fatalf("%d bytes, announced %d", len(got), body.Size())
		}
		if want, err = dcbor.Marshal(libraryBatch{Body: got, Sig: lib.Author}); err != nil {
			t.Fatal(err)
		}
		if all := Append(nil, got, lib.Author); !bytes.Equal(all, want) {
			t.Fatalf("%x, the library has %x", all, want)
		}
	})
}

func BenchmarkBatch(b *testing.B) {
	body := Batch{Author: make([]byte, 38), Boot: 1 << 40, Seq: 1 << 20, Messages: make([]Message, MaxMessages)}
	for i := range body.Messages {
		body.Messages[i] = Message{1 << 40, make([]byte, 100)}
	}
	data := Append(nil, body.AppendBody(nil), nil)
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		buf := make([]byte, 0, body.Size())
		for b.Loop() {
			body.AppendBody(buf)
		}
	})
	b.Run("scan", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			Scan(data)
		}
	})
}
