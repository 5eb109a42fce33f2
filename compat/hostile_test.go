package compat

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

// A hostilePeer is a connection to a node that says what no old node does.
type hostilePeer struct {
	t testing.TB
	v wire.Version
	c net.Conn
}

func newHostilePeer(t testing.TB, n *MeshNode) *hostilePeer {
	t.Helper()
	c, err := net.Dial("tcp", n.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go io.Copy(io.Discard, c)
	return &hostilePeer{t: t, v: n.network.Version, c: c}
}

// greet has it say who it is.
func (r *hostilePeer) greet(n *MeshNode, id string, methods ...wire.Method) {
	g := wire.Greeting{ID: id, SubnetID: n.network.ID(), Addr: wire.Addr{Host: "127.0.0.1", Port: 1}, Methods: methods}
	r.say(id, wire.Whisper, wire.Handshake, r.v.GreetingArgs(g)...)
}

func (r *hostilePeer) say(id string, main, sub wire.Flag, args ...any) {
	r.t.Helper()
	m := wire.New(r.v, main, sub, args...)
	m.Sender, m.Time = id, time.Now().Unix()
	b, err := wire.Encode(m)
	if err != nil {
		r.t.Fatal(err)
	}
	r.write(wire.AppendFrame(nil, b))
}

// write writes what the node may have closed.
func (r *hostilePeer) write(b []byte) {
	r.c.SetWriteDeadline(time.Now().Add(10 * time.Second))
	r.c.Write(b)
}

// pairOfGo connects two nodes of this library, of which the first is then attacked.
func pairOfGo(t *testing.T, opts Options) (target, friend *MeshNode) {
	t.Helper()
	opts.Listen, opts.HelloDelay = "127.0.0.1:0", 50*time.Millisecond
	target, friend = open(t, opts), open(t, opts)
	if err := friend.Connect(context.Background(), target.Addr()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "connected", func() bool { return len(target.Peers()) == 1 && len(friend.Peers()) == 1 })
	return target, friend
}

// alive sends something over the link that was there before.
func alive(t *testing.T, target, friend *MeshNode, heard func(string) []Message, what string) {
	t.Helper()
	if err := target.Send(t.Context(), what); err != nil {
		t.Fatal(err)
	}
	eventually(t, what, func() bool { return len(heard(what)) == 1 })
}

// P10: whatever an old connection brings, the node lives on, and the other links with it.
func TestHostile_MalformedFramesHarmNoOtherLink(t *testing.T) {
	var file struct {
		Rows []struct {
			Case, Frame string
			Outcome     map[string]string
		}
	}
	golden, err := os.ReadFile("internal/wire/testdata/malformed.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(golden, &file); err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"0.4", "0.5", "0.6", "0.7"} {
		for _, kind := range []Kind{Mesh, Sync, Chord} {
			t.Run(fmt.Sprint(version, kind), func(t *testing.T) {
				target, friend := target2(t, version, kind)
				heard := collect(t, friend)
				before := runtime.NumGoroutine()
				for i, r := range file.Rows {
					frame, err := hex.DecodeString(r.Frame)
					if err != nil {
						t.Fatal(err)
					}
					for _, greets := range []bool{true, false} {
						a := newHostilePeer(t, target)
						if greets {
							a.greet(target, fmt.Sprintf("3rogue%d", i))
						}
						a.write(frame)
						a.write(frame)
						a.c.Close()
					}
				}
				alive(t, target, friend, heard, "after the golden data")
				rng := rand.New(rand.NewPCG(1, 2))
				for i := range 200 {
					a := newHostilePeer(t, target)
					a.greet(target, fmt.Sprintf("3fuzz%d", i))
					body := make([]byte, rng.IntN(300))
					for j := range body {
						body[j] = byte(rng.Uint32())
					}
					if r := file.Rows[rng.IntN(len(file.Rows))]; i%2 == 0 && len(r.Frame) > 20 { // one byte is another
						body, _ = hex.DecodeString(r.Frame[8:])
						body[rng.IntN(len(body))] ^= byte(1 + rng.IntN(255))
						if version >= "0.6" && len(body) > 32 {
							sum := sha256.Sum256(body[32:])
							copy(body, sum[:])
						}
					}
					a.write(wire.AppendFrame(nil, body))
					a.c.Close()
				}
				alive(t, target, friend, heard, "after the fuzzed ones")
				eventually(t, "its goroutines end", func() bool { return runtime.NumGoroutine() <= before+20 })
			})
		}
	}
}

// target2 is a pair, of which chord nodes of 0.4 have to join to know each other.
func target2(t *testing.T, version string, kind Kind) (target, friend *MeshNode) {
	t.Helper()
	if version != "0.4" || kind != Chord {
		return pairOfGo(t, Options{Version: version, Kind: kind})
	}
	opts := Options{Version: version, Kind: kind, K: 16, Listen: "127.0.0.1:0"} // with 64 places, one pair of 64 would have the same
	pair := []*ChordNode{openChord(t, opts), openChord(t, opts)}
	for _, n := range pair {
		if err := n.Join(); err != nil {
			t.Fatal(err)
		}
	}
	target, friend = pair[0].MeshNode, pair[1].MeshNode
	if err := friend.Connect(context.Background(), target.Addr()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "connected", func() bool { return len(target.Peers()) == 1 && len(friend.Peers()) == 1 })
	return target, friend
}

// P10: memory stays bounded.
func TestHostile_MemoryStaysBounded(t *testing.T) {
	for _, version := range []string{"0.4", "0.7"} {
		t.Run(version, func(t *testing.T) {
			target, friend := pairOfGo(t, Options{Version: version, Kind: Sync, Compression: true})
			heard := collect(t, friend)
			heap := func() uint64 {
				runtime.GC()
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				return m.HeapAlloc
			}
			before := heap()
			for i := range 50 { // half a frame that says it is four gigabytes, or almost sixteen megabytes
				a := newHostilePeer(t, target)
				if i%2 == 0 {
					a.write([]byte{0xff, 0xff, 0xff, 0xff, 1, 2, 3})
				} else {
					a.greet(target, fmt.Sprintf("3loris%d", i))
					a.write([]byte{0x00, 0xff, 0xff, 0xff, 1, 2, 3})
				}
			}
			bomb, err := wire.Compress(wire.Zlib, make([]byte, 15<<20))
			if err != nil {
				t.Fatal(err)
			}
			for i := range 20 {
				a := newHostilePeer(t, target)
				a.greet(target, fmt.Sprintf("3bomb%d", i), wire.Zlib)
				a.write(wire.AppendFrame(nil, bomb))
			}
			a := newHostilePeer(t, target)
			a.greet(target, "3flood")
			for i := range 20_000 { // what is remembered of broadcasts, and asked for
				a.say("3flood", wire.Broadcast, wire.Broadcast, []byte(fmt.Sprint("flood ", i)))
				if i%100 == 0 {
					a.say("3flood", wire.Whisper, wire.Request, []byte("*"))
				}
			}
			alive(t, target, friend, heard, "after the flood")
			if after := heap(); after > before+64<<20 {
				t.Errorf("the heap grew from %d to %d MiB", before>>20, after>>20)
			}
		})
	}
}

// A node that does not read is disconnected.
func TestHostile_WhoDoesNotReadIsDisconnected(t *testing.T) {
	t.Parallel()
	target, friend := pairOfGo(t, Options{Version: "0.7", Kind: Mesh})
	a, err := net.Dial("tcp", target.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	r := &hostilePeer{t: t, v: target.network.Version, c: a} // which does not read
	r.greet(target, "3deaf")
	eventually(t, "it is there", func() bool { return len(target.Peers()) == 2 })
	events := target.Events(t.Context())
	payload := bytes.Repeat([]byte("x"), 1<<20)
	for range 100 {
		if err := friend.Send(t.Context(), payload); err != nil {
			t.Fatal(err)
		}
	}
	for ev, err := range events {
		if err != nil {
			t.Fatal(err)
		}
		if ev.Kind == EventDisconnect {
			if ev.Peer.ID != "3deaf" {
				t.Errorf("%s is disconnected: %v", ev.Peer.ID, ev.Err)
			}
			break
		}
	}
}
