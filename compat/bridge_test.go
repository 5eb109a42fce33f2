package compat

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
	opts := &BridgeOptions{Sync: p.sync, Chord: p.table}
	if testing.Verbose() {
		opts.Logger = slog.New(slog.NewTextHandler(logWriter{t}, nil))
	}
	b := NewBridge(p.mesh, opts)
	t.Cleanup(func() { b.Close() })
	return b
}

type logWriter struct{ t testing.TB }

func (w logWriter) Write(b []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

// add links a bridge with an old network, at an address of its own.
func add(t testing.TB, b *Bridge, opts Options, addrs ...string) LinkStatus {
	t.Helper()
	host := ownHost()
	freePort(t, host)
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

// citizenOf is a node of this library in the place of an old one.
func citizenOf(t testing.TB, opts Options) (*Node, func(string) []Message) {
	t.Helper()
	opts.Listen = "127.0.0.1:0"
	n := open(t, opts)
	return n, collect(t, n)
}

// Messages cross between old networks of different versions and a native one, once each,
// and so do replies.
func TestBridgeMesh(t *testing.T) {
	peers := natives(t, 3)
	b := peers[0].bridge(t)
	first, heardFirst := citizenOf(t, Options{Kind: Mesh, Version: "0.4"})
	second, heardSecond := citizenOf(t, Options{Kind: Mesh, Version: "0.7"})
	add(t, b, Options{Kind: Mesh, Version: "0.4"}, first.Addr())
	add(t, b, Options{Kind: Mesh, Version: "0.7"}, second.Addr())
	settled(t, b)
	if err := first.Send(t.Context(), "from 0.4"); err != nil {
		t.Fatal(err)
	}
	for i, p := range peers {
		eventually(t, fmt.Sprint("native ", i), func() bool { return len(p.got("from 0.4")) > 0 })
		if m := p.got("from 0.4")[0]; m.Origin != "legacy:mesh/"+first.ID() || m.From != peers[0].mesh.ID() {
			t.Errorf("%+v", m)
		}
	}
	eventually(t, "0.7 hears 0.4", func() bool { return len(heardSecond("from 0.4")) > 0 })
	if m := heardSecond("from 0.4")[0]; !marked(m.From) {
		t.Errorf("%+v", m)
	}
	for i, p := range peers { // the bridge's own peer, too
		text := fmt.Sprint("native ", i)
		if _, err := p.mesh.Broadcast(t.Context(), text); err != nil {
			t.Fatal(err)
		}
		for _, heard := range []func(string) []Message{heardFirst, heardSecond} {
			eventually(t, text, func() bool { return len(heard(text)) > 0 })
		}
	}
	for i, p := range peers {
		text := fmt.Sprint("reply to native ", i)
		if err := second.Reply(t.Context(), heardSecond(fmt.Sprint("native ", i))[0], text); err != nil {
			t.Fatal(err)
		}
		eventually(t, text, func() bool { return len(p.got(text)) > 0 })
		m := p.got(text)[0]
		if m.Origin != "legacy:mesh/"+second.ID() || m.Kind != mesh.Whisper {
			t.Errorf("%+v", m)
		}
		if i > 0 {
			if err := p.mesh.Reply(t.Context(), m, "and "+text); err != nil {
				t.Fatal(err)
			}
		} else if err := b.Whisper(t.Context(), m.Origin, "and "+text); err != nil {
			t.Fatal(err)
		}
		eventually(t, "and "+text, func() bool { return len(heardSecond("and "+text)) > 0 })
	}
	if err := second.Reply(t.Context(), heardSecond("from 0.4")[0], "across"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a reply across", func() bool { return len(heardFirst("across")) > 0 })
	if err := first.Reply(t.Context(), heardFirst("across")[0], "and back"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "and back", func() bool { return len(heardSecond("and back")) > 0 })
	time.Sleep(300 * time.Millisecond) // for what might come twice
	for i, p := range peers {
		if n := len(p.got("from 0.4")); n != 1 {
			t.Errorf("native %d has heard it %d times", i, n)
		}
		for _, heard := range []func(string) []Message{heardFirst, heardSecond} {
			if n := len(heard(fmt.Sprint("native ", i))); n != 1 {
				t.Errorf("message of native %d was heard %d times", i, n)
			}
		}
	}
	if n := len(heardFirst("from 0.4")); n != 0 {
		t.Errorf("it came back %d times", n)
	}
	if err := b.Whisper(t.Context(), "legacy:elsewhere/x", "y"); !errors.Is(err, ErrNoBridge) {
		t.Errorf("to nowhere: %v", err)
	}
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

// Keys, their leases and their deletes cross between two old networks and a native one.
func TestBridgeSync(t *testing.T) {
	peers := natives(t, 3)
	b := peers[0].bridge(t)
	first, _ := citizenOf(t, Options{Kind: Sync, Version: "0.7"})
	early, _ := citizenOf(t, Options{Kind: Sync, Version: "0.5"})
	if err := first.Set(t.Context(), "early", "bird"); err != nil {
		t.Fatal(err)
	}
	if err := peers[2].sync.Set(t.Context(), "native", "before"); err != nil {
		t.Fatal(err)
	}
	add(t, b, Options{Kind: Sync, Version: "0.7"}, first.Addr())
	add(t, b, Options{Kind: Sync, Version: "0.5"}, early.Addr())
	everywhere := func(key string, want any) {
		t.Helper()
		for i, p := range peers {
			eventually(t, fmt.Sprintf("%s is %v at native %d, not %v", key, want, i, p.heldAt(key)), func() bool { return fmt.Sprintf("%s", p.heldAt(key)) == fmt.Sprintf("%s", want) })
		}
		for _, n := range []*Node{first, early} {
			eventually(t, fmt.Sprintf("%s is %v at %s, not %v", key, want, n.opts.Version, held(t, n, key)), func() bool { return fmt.Sprintf("%s", held(t, n, key)) == fmt.Sprintf("%s", want) })
		}
	}
	everywhere("early", "bird")
	everywhere("native", "before")
	item, err := peers[1].sync.Item("early")
	if err != nil || item.Lease.Signed || item.Lease.Owner != "legacy:sync/"+first.ID() {
		t.Errorf("%+v, %v", item, err)
	}
	// Leases hold on the other side.
	if err := peers[1].sync.Set(t.Context(), "early", "worm"); !isLease(err) {
		t.Errorf("a native write to an old key: %v", err)
	}
	for _, n := range []*Node{first, early} {
		if err := n.Set(t.Context(), "native", "mine"); !errors.Is(err, ErrLeased) {
			t.Errorf("a write of %s to a native key: %v", n.opts.Version, err)
		}
	}
	if err := early.Set(t.Context(), "early", "mine"); !errors.Is(err, ErrLeased) {
		t.Errorf("a write of 0.5 to a key of 0.7: %v", err)
	}
	// Their owners go on.
	if err := first.Set(t.Context(), "early", "later"); err != nil {
		t.Fatal(err)
	}
	everywhere("early", "later")
	if err := peers[2].sync.Set(t.Context(), "native", "after"); err != nil {
		t.Fatal(err)
	}
	everywhere("native", "after")
	// Deltas.
	if err := first.ApplyDelta(t.Context(), "map", map[string]any{"a": int64(1)}); err != nil {
		t.Fatal(err)
	}
	if err := first.ApplyDelta(t.Context(), "map", map[string]any{"b": int64(2)}); err != nil {
		t.Fatal(err)
	}
	for _, p := range peers {
		eventually(t, "the map", func() bool { return fmt.Sprint(p.heldAt("map")) == "map[a:1 b:2]" })
	}
	eventually(t, "it is counted that a map does not cross to 0.5", func() bool { return b.Links()[0].Dropped[DropValue] > 0 })
	if held(t, early, "map") != nil {
		t.Error("a map has come to 0.5")
	}
	// Deletes.
	if err := first.Delete(t.Context(), "early"); err != nil {
		t.Fatal(err)
	}
	if err := peers[2].sync.Delete(t.Context(), "native"); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"early", "native"} {
		for _, p := range peers {
			eventually(t, key+" is deleted", func() bool { return p.heldAt(key) == nil })
		}
		for _, n := range []*Node{first, early} {
			eventually(t, key+" is deleted", func() bool { return held(t, n, key) == nil })
		}
	}
	// Who comes later has all.
	if err := peers[1].sync.Set(t.Context(), "k", "v"); err != nil {
		t.Fatal(err)
	}
	everywhere("k", "v")
	late, _ := citizenOf(t, Options{Kind: Sync, Version: "0.7"})
	if err := late.Connect(t.Context(), b.links.all()[1].node.Addr()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the late one has it", func() bool { return held(t, late, "k") == "v" })
	eventually(t, "and the map", func() bool { return fmt.Sprint(held(t, late, "map")) == "map[a:1 b:2]" })
}

// If all claim a key at once, two in each network, the native value stands everywhere, and
// who has lost hears of it.
func TestBridgeContest(t *testing.T) {
	peers := natives(t, 2)
	b := peers[0].bridge(t)
	nodes := map[string]*Node{}
	for _, version := range []string{"0.4", "0.5", "0.6", "0.7"} {
		first, _ := citizenOf(t, Options{Kind: Sync, Version: version})
		second, _ := citizenOf(t, Options{Kind: Sync, Version: version})
		if err := second.Connect(t.Context(), first.Addr()); err != nil {
			t.Fatal(err)
		}
		nodes[version], nodes[version+", second"] = first, second
		add(t, b, Options{Kind: Sync, Version: version}, first.Addr())
	}
	settled(t, b)
	for i := range 20 {
		key := fmt.Sprint("key ", i)
		var wg sync.WaitGroup
		for version, n := range nodes {
			wg.Go(func() {
				if err := n.Set(context.Background(), key, version); err != nil && !errors.Is(err, ErrLeased) {
					t.Error(err)
				}
			})
		}
		wg.Go(func() {
			if err := peers[1].sync.Set(context.Background(), key, "native"); err != nil && !isLease(err) {
				t.Error(err)
			}
		})
		wg.Wait()
	}
	for i := range 20 {
		key := fmt.Sprint("key ", i)
		var last string
		level := func() bool {
			want := fmt.Sprintf("%s", peers[0].heldAt(key))
			last = fmt.Sprintf("native %s %s;", want, peers[1].heldAt(key))
			same := fmt.Sprintf("%s", peers[1].heldAt(key)) == want
			for version, n := range nodes {
				got := fmt.Sprintf("%s", held(t, n, key))
				last += fmt.Sprintf(" %s: %s", version, got)
				same = same && got == want
			}
			return same
		}
		for end := time.Now().Add(20 * time.Second); !level(); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s is not equal everywhere: %s", key, last)
			}
		}
	}
}

// A key that is set in an old table is read in the native one, and the other way round.
func TestBridgeChord(t *testing.T) {
	peers := natives(t, 3)
	b := peers[0].bridge(t)
	old, _ := citizenOf(t, Options{Kind: Chord, Version: "0.7"})
	if err := old.Join(); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if err := peers[1].table.Set(ctx, "before", "native"); err != nil {
		t.Fatal(err)
	}
	if err := old.Set(ctx, "before old", "old"); err != nil {
		t.Fatal(err)
	}
	add(t, b, Options{Kind: Chord, Version: "0.7"}, old.Addr())
	same := func(key string, want any) {
		t.Helper()
		eventually(t, key+" natively", func() bool { v, err := peers[2].table.Get(ctx, key); return err == nil && v == want })
		eventually(t, key+" at the old node", func() bool { v, err := old.Get(ctx, key); return err == nil && v == want })
	}
	same("before", "native")
	same("before old", "old")
	for i := range 3 {
		if err := peers[1].table.Set(ctx, "n", int64(i)); err != nil {
			t.Fatal(err)
		}
		same("n", int64(i))
		if err := old.Set(ctx, "o", int64(i)); err != nil {
			t.Fatal(err)
		}
		same("o", int64(i))
	}
	if err := old.Delete(ctx, "o"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is deleted natively", func() bool { _, err := peers[2].table.Get(ctx, "o"); return errors.Is(err, chord.ErrNotFound) })
	if err := peers[1].table.Delete(ctx, "n"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is deleted at the old node", func() bool { _, err := old.Get(ctx, "n"); return errors.Is(err, ErrNotFound) })
}
