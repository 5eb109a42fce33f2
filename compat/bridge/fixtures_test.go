package bridge

import (
	"context"
	"errors"
	"fmt"

	"log/slog"

	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/chord"
	"github.com/p2p-today/go2p/compat"
	"github.com/p2p-today/go2p/internal/oldpeers"
	"github.com/p2p-today/go2p/mesh"
	p2psync "github.com/p2p-today/go2p/sync"
)

// A native is a native peer with all that a bridge may share, and what it has heard.
type native struct {
	mesh  *mesh.Mesh
	sync  *p2psync.Dict
	table *chord.Table
	mu    sync.Mutex
	heard map[string][]mesh.Message // by their text
}

// natives are some peers that are connected with each other.
func natives(t testing.TB, n int) (list []*native) {
	t.Helper()
	for i := range n {
		h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableIdentifyAddressDiscovery())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { h.Close() })
		p := &native{heard: map[string][]mesh.Message{}}
		p.mesh, err = mesh.Join(t.Context(), h, t.Name(), &mesh.Options{Handle: func(_ context.Context, m mesh.Message) bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.heard[textOf(m.Packets)] = append(p.heard[textOf(m.Packets)], m)
			return false
		}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.mesh.Close() })
		if p.sync, err = p2psync.Open(t.Context(), p.mesh, nil); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.sync.Close() })
		if p.table, err = chord.Open(t.Context(), p.mesh, nil); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.table.Close() })
		for _, other := range list {
			if err := other.mesh.Connect(t.Context(), peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()}); err != nil {
				t.Fatal(err)
			}
		}
		if i < 3 {
			if err := p.table.Join(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		list = append(list, p)
	}
	return list
}

// got are the messages with a text that a peer has heard.
func (p *native) got(text string) []mesh.Message {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.heard[text]
}

// stamps is how many messages a text is. An old node stamps it anew for each of its
// neighbours: if a second passes meanwhile it is two messages.
func (p *native) stamps(text string) int {
	ids := map[string]bool{}
	for _, m := range p.got(text) {
		ids[m.OriginID] = true
	}
	return max(1, len(ids))
}

// bridge makes a peer a bridge.
func (p *native) bridge(t testing.TB) *Bridge {
	t.Helper()
	opts := &Options{Sync: p.sync, Chord: p.table}
	if testing.Verbose() {
		opts.Logger = slog.New(slog.NewTextHandler(logWriter{t}, nil))
	}
	b := New(p.mesh, opts)
	t.Cleanup(func() { b.Close() })
	return b
}

type logWriter struct{ t testing.TB }

func (w logWriter) Write(b []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

// add links a bridge with an old network, at an address of its own.
func add(t testing.TB, b *Bridge, opts compat.Options, addrs ...string) LinkStatus {
	t.Helper()
	host := oldpeers.OwnHost()
	oldpeers.FreePort(t, host)
	opts.Listen = host + ":0"
	s, err := b.Add(t.Context(), "", opts, addrs...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// settled waits until one of some bridges is elected in each old network.
func settled(t testing.TB, bridges ...*Bridge) {
	t.Helper()
	eventually(t, "elections", func() bool {
		elected := map[string]int{}
		for _, b := range bridges {
			for _, l := range b.links.all() {
				elected[l.network.id] += 0
				if l.leadership.elected() {
					elected[l.network.id]++
				}
			}
		}
		for _, n := range elected {
			if n != 1 {
				return false
			}
		}
		return true
	})
}

// An oldPeer is a node of this library in the place of an old one.
type oldPeer struct {
	*compat.MeshNode
	heard func(text string) []compat.Message
}

func oldMeshPeer(t testing.TB, opts compat.Options) oldPeer {
	t.Helper()
	opts.Listen = "127.0.0.1:0"
	n, err := compat.OpenMesh(context.Background(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return oldPeer{n, collect(t, n)}
}

func oldSyncPeer(t testing.TB, opts compat.Options) *compat.SyncNode {
	t.Helper()
	opts.Listen = "127.0.0.1:0"
	n, err := compat.OpenSync(context.Background(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}

func oldChordPeer(t testing.TB, opts compat.Options) *compat.ChordNode {
	t.Helper()
	opts.Listen = "127.0.0.1:0"
	n, err := compat.OpenChord(context.Background(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}

// eventually waits until something holds.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// collect gathers the messages of a node.
func collect(t testing.TB, n *compat.MeshNode) func(text string) []compat.Message {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	got := make(chan compat.Message, 1000)
	messages := n.Messages(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for m, err := range messages {
			if err != nil {
				return
			}
			got <- m
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	all := map[string][]compat.Message{}
	return func(text string) []compat.Message {
		for len(got) > 0 {
			m := <-got
			all[textOf(m.Packets)] = append(all[textOf(m.Packets)], m)
		}
		return all[text]
	}
}

// textOf is what a message says, if that is one text or bytes.
func textOf(packets []any) string {
	if len(packets) != 1 {
		return ""
	}
	return fmt.Sprintf("%s", packets[0])
}

// held is the value of a key at an old node, bytes as text, or nil.
func held(t testing.TB, n *compat.SyncNode, key string) any {
	t.Helper()
	v, err := n.Get(context.Background(), key)
	if errors.Is(err, compat.ErrNotFound) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	if b, ok := v.([]byte); ok {
		return string(b)
	}
	return v
}

// nextSecond waits until it is the next second, for py as well, whose clock is some
// milliseconds behind.
func nextSecond(t testing.TB) {
	t.Helper()
	second := time.Now().Unix()
	eventually(t, "the next second", func() bool { return time.Now().Add(-50*time.Millisecond).Unix() > second })
}

func isLease(err error) bool {
	var lease *p2psync.LeaseError
	return errors.As(err, &lease)
}

// heldAt is the value of a key natively, or nil.
func (p *native) heldAt(key string) any {
	v, err := p.sync.Get(key)
	if err != nil {
		return nil
	}
	return v
}
