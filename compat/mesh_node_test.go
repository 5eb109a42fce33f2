package compat

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
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
