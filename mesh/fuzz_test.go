package mesh

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"slices"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/internal/dcbor"
	"github.com/p2p-today/go2p/mesh/internal/batch"
	"github.com/p2p-today/go2p/mesh/internal/netkey"
)

// recode checks that what was decoded is encoded to something that decodes to
// the same: to what is encoded the same, since an empty list may be left out.
func recode[T any](t *testing.T, v T, decode func([]byte) (T, error)) {
	t.Helper()
	data, err := dcbor.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	again, err := decode(data)
	if err != nil {
		t.Fatalf("%#v is encoded as %x: %v", v, data, err)
	}
	if recoded, err := dcbor.Marshal(again); err != nil || !bytes.Equal(recoded, data) {
		t.Fatalf("%#v became %#v, %v", v, again, err)
	}
}

func seed(f *testing.F, values ...any) {
	f.Helper()
	for _, v := range values {
		data, err := dcbor.Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		f.Add(data[:len(data)/2])
	}
	f.Add([]byte{0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
}

func FuzzHello(f *testing.F) {
	s := helloInfo{Nonce: netkey.Nonce{1}, Clock: 2, Run: 3, Gen: 4}
	seed(f, helloOpen{Version: 1, Explicit: true, From: s},
		helloAnswer{From: s, Tags: []netkey.HelloTag{{1}, {2}}}, helloProof{Tags: make([]netkey.HelloTag, 8)})
	f.Fuzz(func(t *testing.T, data []byte) {
		fuzzHello[helloOpen](t, data)
		fuzzHello[helloAnswer](t, data)
		fuzzHello[helloProof](t, data)
	})
}

func fuzzHello[T any](t *testing.T, data []byte) {
	decode := func(b []byte) (v T, err error) {
		err = helloDecoder.Unmarshal(b, &v)
		return v, err
	}
	if v, err := decode(data); err == nil {
		recode(t, v, decode)
	}
}

func FuzzControl(f *testing.F) {
	seed(f, controlMessage{Kind: controlPing, Nonce: 1},
		controlMessage{Kind: controlWantPeers, Nonce: 1, Target: []byte("p")},
		controlMessage{Kind: controlPeers, Peers: []listedPeer{{ID: []byte("p"), Addrs: [][]byte{{4, 127, 0, 0, 1}}}}},
		controlMessage{Kind: controlHave, Haves: []wireHave{{Author: []byte("p"), Boot: 1, Low: 2, High: 3, Age: 4, Urgent: true}}},
		controlMessage{Kind: controlFetch, Range: &wireRange{Author: []byte("p"), Boot: 1, Intervals: []uint64{1, 2, 5, 5}}},
		controlMessage{Kind: controlPush, Batches: []agedData{{Data: []byte("b"), Age: 1}}})
	f.Add([]byte{0xa2, 0x01, 0x00, 0x05, 0x80}) // a list of haves that is empty, and not left out
	f.Fuzz(func(t *testing.T, data []byte) {
		msg, err := decodeControl(data)
		if err != nil {
			return
		}
		recode(t, msg, decodeControl)
		addrInfos(msg.Peers, "")
		if msg.Range != nil {
			if again := flatten(msg.Range.intervals()); !slices.Equal(again, msg.Range.Intervals[:len(again)]) {
				t.Fatalf("%v was read as %v", msg.Range.Intervals, again)
			}
		}
	})
}

// fuzzAuthor is a broadcaster that can sign and verify, without a host.
func fuzzAuthor(tb testing.TB) (*broadcaster, peer.ID) {
	tb.Helper()
	std := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	key, _, err := crypto.KeyPairFromStdKey(&std)
	if err != nil {
		tb.Fatal(err)
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	return &broadcaster{local: &local{id: id, signer: key, boot: 7}}, id
}

func FuzzBatch(f *testing.F) {
	author, id := fuzzAuthor(f)
	for n := range 3 {
		messages := make([]batch.Message, n)
		for i := range messages {
			messages[i] = batch.Message{Time: int64(i), Packets: []byte{0x82, 0x61, 'a', 0x01}}
		}
		data, err := author.seal(1, messages)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		f.Add(data[:len(data)-1])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := batch.Scan(data)
		if err != nil {
			return
		}
		if again := batch.Append(nil, b.AppendBody(nil), b.Sig); !bytes.Equal(again, data) {
			t.Fatalf("%x is encoded as %x", data, again)
		}
		author.verify(id, batchPurpose, b.Body, b.Sig)
		messages, err := messagesOf(&b, id)
		if err == nil && len(messages) != len(b.Messages) {
			t.Fatal(fmt.Sprint(len(messages), " messages of ", len(b.Messages)))
		}
	})
}

func FuzzWhisper(f *testing.F) {
	_, id := fuzzAuthor(f)
	seed(f, whisper{Boot: 1, Seq: 2, To: "0123", Time: 3, Packets: []byte{0x80}},
		whisper{Boot: 1, Seq: 2, Packets: []byte{0x43, 'a', ':', 'b', 0x41, '1', 0x81, 0x01}},
		whisperAck{Seq: 1, Refused: true})
	decode := func(b []byte) (w whisper, err error) {
		err = whisperDecoder.Unmarshal(b, &w)
		return w, err
	}
	decodeAck := func(b []byte) (a whisperAck, err error) {
		err = whisperDecoder.Unmarshal(b, &a)
		return a, err
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if w, err := decode(data); err == nil {
			recode(t, w, decode)
			w.message(id)
		}
		if a, err := decodeAck(data); err == nil {
			recode(t, a, decodeAck)
		}
	})
}
