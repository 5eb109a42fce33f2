package compat

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/p2p-today/go2p/compat/internal/legacy"
	"github.com/p2p-today/go2p/compat/internal/wire"
)

// line connects nodes in a line.
func line(t *testing.T, n int, opts Options) []*MeshNode {
	t.Helper()
	opts.Listen = "127.0.0.1:0"
	var nodes []*MeshNode
	for i := range n {
		nodes = append(nodes, open(t, opts))
		if i > 0 {
			before := len(nodes[i-1].Peers())
			if err := nodes[i].Connect(t.Context(), nodes[i-1].Addr()); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the other end knows it, too", func() bool { return len(nodes[i-1].Peers()) > before })
		}
	}
	return nodes
}

// Nodes of this library among themselves, in each version: a broadcast comes to the other
// end once, and a reply finds its way there.
func TestMeshNode_MessagesCrossALine(t *testing.T) {
	for _, v := range wire.Versions {
		for _, transport := range []Transport{Plaintext, SSL, WebSocket} {
			if transport == WebSocket && v < wire.V6 {
				continue
			}
			t.Run(fmt.Sprint(v, " ", transport), func(t *testing.T) {
				t.Parallel()
				nodes := line(t, 3, Options{HelloDelay: 50 * time.Millisecond, Kind: Mesh, Version: v.String(), Transport: transport, Compression: v == wire.V7})
				heard, back := collect(t, nodes[2]), collect(t, nodes[0])
				if err := nodes[0].Send(t.Context(), "hello"); err != nil {
					t.Fatal(err)
				}
				eventually(t, "it comes", func() bool { return len(heard("hello")) == 1 })
				m := heard("hello")[0]
				if m.From != nodes[0].ID() || m.Kind != KindBroadcast {
					t.Errorf("%+v", m)
				}
				if err := nodes[2].Reply(t.Context(), m, "answer"); err != nil {
					t.Fatal(err)
				}
				eventually(t, "the answer comes", func() bool { return len(back("answer")) == 1 })
				if kind := back("answer")[0].Kind; kind != KindWhisper {
					t.Error(kind)
				}
				for range 3 { // equal ones within a second
					if err := nodes[0].Send(t.Context(), "again"); err != nil {
						t.Fatal(err)
					}
				}
				eventually(t, "all three", func() bool { return len(heard("again")) == 3 })
				if n := len(nodes[1].Peers()); n != 2 {
					t.Errorf("%d peers", n)
				}
			})
		}
	}
}

// A table of nodes of this library, on either ring.
func TestChordNode_TableIsSharedOnEitherRing(t *testing.T) {
	for _, v := range wire.Versions {
		t.Run(v.String(), func(t *testing.T) {
			t.Parallel()
			opts := Options{Kind: Chord, Version: v.String(), Listen: "127.0.0.1:0", K: 16, HelloDelay: 50 * time.Millisecond}
			var nodes []*ChordNode
			for i := range 3 {
				n := openChord(t, opts)
				if err := n.Join(); err != nil {
					t.Fatal(err)
				}
				for _, other := range nodes {
					if err := n.Connect(t.Context(), other.Addr()); err != nil {
						t.Fatal(err)
					}
				}
				nodes = append(nodes, n)
				eventually(t, "all know it", func() bool { return len(nodes[0].Peers()) == i })
			}
			leech := openChord(t, Options{Kind: Chord, Version: v.String(), K: 16, HelloDelay: 50 * time.Millisecond})
			if err := leech.Connect(t.Context(), nodes[0].Addr()); err != nil {
				t.Fatal(err)
			}
			get := func(n *ChordNode, key string) string {
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				v, err := n.Get(ctx, key)
				if err != nil {
					return err.Error()
				}
				return fmt.Sprintf("%s", v)
			}
			eventually(t, "a leech writes", func() bool { return leech.Set(t.Context(), "of leech", "x") == nil })
			for i, n := range nodes {
				key := fmt.Sprint("key", i)
				if err := n.Set(t.Context(), key, key); err != nil {
					t.Fatal(err)
				}
				for _, other := range append(nodes, leech) {
					eventually(t, key, func() bool { return get(other, key) == key })
				}
				eventually(t, "what the leech wrote", func() bool { return get(n, "of leech") == "x" })
			}
			if _, err := leech.Get(t.Context(), "nowhere"); !errors.Is(err, ErrNotFound) {
				t.Errorf("a missing key: %v", err)
			}
			if err := nodes[1].Delete(t.Context(), "key1"); err != nil {
				t.Error(err)
			}
			eventually(t, "it is gone", func() bool { _, err := nodes[0].Get(t.Context(), "key1"); return errors.Is(err, ErrNotFound) })
			if err := nodes[0].Unjoin(); err != nil {
				t.Fatal(err)
			}
			for _, key := range []string{"key0", "key2", "of leech"} {
				eventually(t, key+" is elsewhere", func() bool { s := get(nodes[2], key); return s == key || s == "x" })
			}
		})
	}
}

// halfClosed is an end of a net.Pipe, which is over when one side has said all.
type halfClosed struct{ net.Conn }

func (p halfClosed) CloseWrite() error { return p.Close() }

// A reader that falls behind gets no more than it has said that it has read, and what it says
// to the handshake counts for that alone.
func TestWriter_SendsNoMoreThanIsAnswered(t *testing.T) {
	for _, version := range []string{"0.5", "0.6", "0.7"} {
		synctest.Test(t, func(t *testing.T) {
			n := open(t, Options{Kind: Mesh, Version: version})
			near, far := net.Pipe()
			n.conns.take(stream{halfClosed{near}}, "")
			var broadcasts, questions atomic.Int32
			go func() {
				for {
					body, err := wire.ReadFrame(far, wire.MaxFrame)
					if err != nil {
						return
					}
					switch m, err := wire.Decode(n.network.Version, body); {
					case err != nil:
						t.Errorf("%s: %v", version, err)
					case m.Main() == wire.Broadcast:
						broadcasts.Add(1)
					case m.Sub() == wire.Request, m.Sub() == wire.Handshake:
						questions.Add(1)
					}
				}
			}()
			r := &hostilePeer{t: t, v: n.network.Version, c: far}
			r.greet(n, "3slow")
			synctest.Wait()
			for i := range 200 {
				if err := n.Send(t.Context(), fmt.Sprint("message ", i)); err != nil {
					t.Fatal(err)
				}
			}
			for answers := range int32(3) {
				if answers > 0 {
					r.say("3slow", wire.Whisper, wire.Peers, n.network.Version.PeersArg(nil))
				}
				synctest.Wait()
				got, asked := broadcasts.Load(), questions.Load()
				if want := (answers+1)*32 - 1; got != want || asked != answers+legacy.MaxAsked { // one frame tells its peers
					t.Errorf("%s: %d broadcasts, not %d, and %d questions after %d answers", version, got, want, asked, answers)
				}
			}
		})
	}
}

// Two nodes that have much to say to each other do not wait for each other's answers.
func TestWriter_TwoBusyNodesDoNotWaitForEachOther(t *testing.T) {
	for _, version := range []string{"0.5", "0.6", "0.7"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			opts := Options{Kind: Mesh, Version: version, Listen: "127.0.0.1:0", HelloDelay: 50 * time.Millisecond}
			a, b := open(t, opts), open(t, opts)
			if err := b.Connect(t.Context(), a.Addr()); err != nil {
				t.Fatal(err)
			}
			eventually(t, "both know", func() bool { return len(a.Peers()) == 1 })
			const count = 1000
			var all sync.WaitGroup
			for _, n := range []*MeshNode{a, b} {
				heard := n.Messages(t.Context())
				all.Go(func() {
					for i := range count {
						if err := n.Send(t.Context(), fmt.Sprint(n.ID(), i)); err != nil {
							t.Error(err)
						}
					}
				})
				all.Go(func() {
					rest := count
					for _, err := range heard {
						if rest--; err != nil || rest == 0 {
							break
						}
					}
				})
			}
			done := make(chan struct{})
			go func() { all.Wait(); close(done) }()
			eventually(t, "all are heard", func() bool {
				select {
				case <-done:
					return true
				default:
					return false
				}
			})
		})
	}
}

// Who connects to a node that has dialled it keeps that connected: there is no second
// connection, or, if it does not show that it is the same node, one of the two stays.
func TestDialer_KeepsOneConnectionWithANode(t *testing.T) {
	opts := Options{Kind: Mesh, Version: "0.7", Listen: "127.0.0.1:0", HelloDelay: 50 * time.Millisecond}
	for i := range 4 { // with IDs in either order
		elsewhere := opts
		if i%2 == 0 {
			elsewhere.Advertise = "192.0.2.1:4444"
		}
		a, b := open(t, opts), open(t, elsewhere)
		if err := b.Connect(t.Context(), a.Addr()); err != nil {
			t.Fatal(err)
		}
		if err := a.Connect(t.Context(), b.Addr()); err != nil {
			t.Errorf("to a node that is connected: %v", err)
		}
		if outgoing := a.Peers()[0].Outgoing; outgoing && elsewhere.Advertise == "" {
			t.Error("it was dialled")
		}
		eventually(t, "one connection", func() bool { return len(a.Peers()) == 1 && len(b.Peers()) == 1 })
		if err := b.Disconnect(a.ID()); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it is dialled again", func() bool { return len(a.Peers()) == 1 && a.Peers()[0].Outgoing })
		if err := a.Disconnect(b.ID()); err != nil {
			t.Fatal(err)
		}
		eventually(t, "nobody keeps it", func() bool {
			kept := 0
			for _, n := range []*MeshNode{a, b} {
				n.dialer.mu.Lock()
				kept += len(n.dialer.kept)
				n.dialer.mu.Unlock()
			}
			return kept+a.conns.len()+b.conns.len() == 0
		})
	}
}

// A connection that is lost is dialled again, until it is given up; two nodes that dial
// each other at once end with one connection.
func TestDialer_DialsLostNodesAgain(t *testing.T) {
	opts := Options{Kind: Mesh, Version: "0.7", Listen: "127.0.0.1:0", HelloDelay: 50 * time.Millisecond}
	a, b := open(t, opts), open(t, opts)
	if err := a.Connect(t.Context(), a.Addr()); !errors.Is(err, ErrSelf) {
		t.Errorf("with itself: %v", err)
	}
	done := make(chan error, 2)
	go func() { done <- a.Connect(t.Context(), b.Addr()) }()
	go func() { done <- b.Connect(t.Context(), a.Addr()) }()
	for range 2 {
		if err := <-done; err != nil && !errors.Is(err, ErrTwice) {
			t.Logf("one of two at once: %v", err)
		}
	}
	eventually(t, "one connection", func() bool {
		return len(a.Peers()) == 1 && len(b.Peers()) == 1 && a.conns.len() == 1
	})
	addr := b.Addr()
	b.Close()
	eventually(t, "it is gone", func() bool { return len(a.Peers()) == 0 })
	opts.Listen = addr
	c := open(t, opts)
	eventually(t, "another is there in its place", func() bool {
		return len(a.Peers()) == 1 && a.Peers()[0].ID == c.ID() || a.Connect(t.Context(), addr) == nil
	})
	if err := a.Disconnect(c.ID()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "disconnected", func() bool { return len(c.Peers()) == 0 })
}

func TestMeshNode_OtherNetworksAreRefused(t *testing.T) {
	n := open(t, Options{Kind: Mesh, Version: "0.7", Listen: "127.0.0.1:0"})
	events := n.Events(t.Context())
	other := open(t, Options{Kind: Sync, Version: "0.7", NoLeasing: true, HelloDelay: 50 * time.Millisecond}) // it speaks first, as old ones do
	err := other.Connect(t.Context(), n.Addr())
	if err == nil {
		t.Fatal("nodes of two networks are connected")
	}
	for ev, err := range events {
		if err != nil {
			t.Fatal(err)
		}
		var refused *RefusedError
		if ev.Kind != EventRefused {
			continue
		}
		if !errors.As(ev.Err, &refused) || refused.Matches != `sync "sync" over Plaintext without leasing` {
			t.Errorf("%v", ev.Err)
		}
		break
	}
	for _, opts := range []Options{
		{Kind: Mesh, Version: "0.3"}, {Kind: "ford", Version: "0.7"}, {Kind: Mesh, Version: "0.5", Transport: WebSocket},
		{Kind: Mesh, Version: "0.7", Transport: "tcp"}, {Kind: Chord, Version: "0.4", K: 1000}, {Kind: Mesh, Version: "0.7", Listen: "nowhere"},
		{Kind: Mesh, Version: "0.7", Advertise: "nowhere"},
	} {
		if n, err := openNode(opts, opts.Kind, "", legacy.NewNode, nil); err == nil {
			n.Close()
			t.Errorf("%+v is opened", opts)
		}
	}
	if _, err := OpenMesh(t.Context(), Options{Kind: Sync, Version: "0.7"}); !errors.Is(err, ErrKind) {
		t.Errorf("a mesh node in a sync network: %v", err)
	}
	if err := n.Whisper(t.Context(), "3nobody", "x"); !errors.Is(err, ErrNoPeers) {
		t.Errorf("a whisper to nobody: %v", err)
	}
	old := open(t, Options{Kind: Mesh, Version: "0.5"})
	if err := old.Send(t.Context(), 7); !errors.Is(err, ErrValue) {
		t.Errorf("a number in 0.5: %v", err)
	}
	old.Close()
	if err := old.Send(t.Context(), "x"); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// P12: Close leaves nothing behind.
func TestClose_EndsAllGoroutines(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 3 {
		nodes := []*MeshNode{}
		for range 3 {
			n, err := OpenSync(context.Background(), Options{Kind: Sync, Version: "0.7", Listen: "127.0.0.1:0", HelloDelay: 50 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			for _, other := range nodes {
				n.Connect(t.Context(), other.Addr())
			}
			nodes = append(nodes, n.MeshNode)
		}
		for _, n := range nodes {
			n.Close()
			n.Close()
		}
	}
	eventually(t, "all goroutines have ended", func() bool { return runtime.NumGoroutine() <= before })
}

// With Autodial a node connects to those of whom it hears; without, it does not.
func TestAutodial_DialsNodesOfWhomOthersTell(t *testing.T) {
	opts := Options{Kind: Mesh, Version: "0.7", HelloDelay: 50 * time.Millisecond}
	nodes := line(t, 2, opts)
	opts.Autodial = true
	n := open(t, opts)
	if err := n.Connect(t.Context(), nodes[0].Addr()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is connected with both", func() bool { return len(n.Peers()) == 2 })
}

// Nodes that have nothing to do take nothing of the processor.
func TestEngine_RestsWhenNothingIsDue(t *testing.T) {
	a := open(t, Options{Kind: Mesh, Version: "0.7", Listen: "127.0.0.1:0"})
	b := open(t, Options{Kind: Mesh, Version: "0.7"})
	if err := b.Connect(t.Context(), a.Addr()); err != nil {
		t.Fatal(err)
	}
	turns := func() uint64 { return a.engine.turns.Load() + b.engine.turns.Load() }
	var last uint64
	eventually(t, "rest", func() bool {
		before := last
		last = turns()
		return last == before
	})
}
