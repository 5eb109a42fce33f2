package mesh

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

func TestEnvelopeIsTheLibrarys(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw := rapid.SliceOfN(rapid.Byte(), 0, 300)
		lib := libraryBody{
			Author: raw.Draw(t, "author"), Boot: rapid.Uint64().Draw(t, "boot"), Seq: rapid.Uint64().Draw(t, "seq"),
			Messages: []libraryMessage{},
		}
		body := batch{Author: lib.Author, Boot: lib.Boot, Seq: lib.Seq}
		for range rapid.IntRange(0, maxBatch).Draw(t, "messages") {
			msg := batchMessage{rapid.Int64().Draw(t, "time"), raw.Draw(t, "packets")}
			body.Messages = append(body.Messages, msg)
			lib.Messages = append(lib.Messages, libraryMessage{Time: msg.Time, Packets: msg.Packets})
		}
		want, err := dcbor.Marshal(lib)
		if err != nil {
			t.Fatal(err)
		}
		got := body.appendBody(nil)
		if !bytes.Equal(got, want) {
			t.Fatalf("%x, the library has %x", got, want)
		}
		if len(got) > body.size() {
			t.Fatalf("%d bytes, announced %d", len(got), body.size())
		}
		if want, err = dcbor.Marshal(libraryBatch{Body: got, Sig: lib.Author}); err != nil {
			t.Fatal(err)
		}
		if all := appendBatch(nil, got, lib.Author); !bytes.Equal(all, want) {
			t.Fatalf("%x, the library has %x", all, want)
		}
	})
}

// What a batch costs in allocations does not grow with its messages.
func TestEnvelopeAllocatesNothingForAMessage(t *testing.T) {
	m, _ := fuzzAuthor(t)
	cost := func(n int) (seal, scan float64) {
		messages := make([]batchMessage, n)
		for i := range messages {
			messages[i] = batchMessage{int64(i), make([]byte, 100)}
		}
		sealed, err := m.seal(1, messages)
		if err != nil {
			t.Fatal(err)
		}
		return testing.AllocsPerRun(10, func() { m.seal(1, messages) }), testing.AllocsPerRun(10, func() { scanBatch(sealed) })
	}
	seal1, scan1 := cost(1)
	sealMany, scanMany := cost(maxBatch)
	if sealMany > seal1 || scanMany > scan1 {
		t.Errorf("sealing: %v allocations for one message, %v for %d; scanning: %v and %v", seal1, sealMany, maxBatch, scan1, scanMany)
	}
}

func BenchmarkEnvelope(b *testing.B) {
	body := batch{Author: make([]byte, 38), Boot: 1 << 40, Seq: 1 << 20, Messages: make([]batchMessage, maxBatch)}
	for i := range body.Messages {
		body.Messages[i] = batchMessage{1 << 40, make([]byte, 100)}
	}
	data := appendBatch(nil, body.appendBody(nil), nil)
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		buf := make([]byte, 0, body.size())
		for b.Loop() {
			body.appendBody(buf)
		}
	})
	b.Run("scan", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			scanBatch(data)
		}
	})
}
