package bridge

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/p2p-today/go2p/chord"
	"github.com/p2p-today/go2p/compat"
	"github.com/p2p-today/go2p/compat/internal/legacy"
	"github.com/p2p-today/go2p/mesh"
	p2psync "github.com/p2p-today/go2p/sync"
)

// Messages cross between old networks of different versions and a native one, once each,
// and so do replies.
func TestBridge_MessagesAndRepliesCrossOnce(t *testing.T) {
	peers := natives(t, 3)
	b := peers[0].bridge(t)
	first := oldMeshPeer(t, compat.Options{Kind: compat.Mesh, Version: "0.4"})
	second := oldMeshPeer(t, compat.Options{Kind: compat.Mesh, Version: "0.7"})
	add(t, b, compat.Options{Kind: compat.Mesh, Version: "0.4"}, first.Addr())
	add(t, b, compat.Options{Kind: compat.Mesh, Version: "0.7"}, second.Addr())
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
	eventually(t, "0.7 hears 0.4", func() bool { return len(second.heard("from 0.4")) > 0 })
	if m := second.heard("from 0.4")[0]; !legacy.IsGhost(m.From) {
		t.Errorf("%+v", m)
	}
	for i, p := range peers { // the bridge's own peer, too
		text := fmt.Sprint("native ", i)
		if _, err := p.mesh.Broadcast(t.Context(), text); err != nil {
			t.Fatal(err)
		}
		for _, heard := range []func(string) []compat.Message{first.heard, second.heard} {
			eventually(t, text, func() bool { return len(heard(text)) > 0 })
		}
	}
	for i, p := range peers {
		text := fmt.Sprint("reply to native ", i)
		if err := second.Reply(t.Context(), second.heard(fmt.Sprint("native ", i))[0], text); err != nil {
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
		eventually(t, "and "+text, func() bool { return len(second.heard("and "+text)) > 0 })
	}
	if err := second.Reply(t.Context(), second.heard("from 0.4")[0], "across"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a reply across", func() bool { return len(first.heard("across")) > 0 })
	if err := first.Reply(t.Context(), first.heard("across")[0], "and back"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "and back", func() bool { return len(second.heard("and back")) > 0 })
	time.Sleep(300 * time.Millisecond) // for what might come twice
	for i, p := range peers {
		if n := len(p.got("from 0.4")); n != 1 {
			t.Errorf("native %d has heard it %d times", i, n)
		}
		for _, heard := range []func(string) []compat.Message{first.heard, second.heard} {
			if n := len(heard(fmt.Sprint("native ", i))); n != 1 {
				t.Errorf("message of native %d was heard %d times", i, n)
			}
		}
	}
	if n := len(first.heard("from 0.4")); n != 0 {
		t.Errorf("it came back %d times", n)
	}
	if err := b.Whisper(t.Context(), "legacy:elsewhere/x", "y"); !errors.Is(err, ErrNoBridge) {
		t.Errorf("to nowhere: %v", err)
	}
}

// Keys, their leases and their deletes cross between two old networks and a native one.
func TestBridge_KeysLeasesAndDeletesCross(t *testing.T) {
	peers := natives(t, 3)
	b := peers[0].bridge(t)
	first := oldSyncPeer(t, compat.Options{Kind: compat.Sync, Version: "0.7"})
	early := oldSyncPeer(t, compat.Options{Kind: compat.Sync, Version: "0.5"})
	olds := map[string]*compat.SyncNode{"0.7": first, "0.5": early}
	if err := first.Set(t.Context(), "early", "bird"); err != nil {
		t.Fatal(err)
	}
	if err := peers[2].sync.Set(t.Context(), "native", "before"); err != nil {
		t.Fatal(err)
	}
	add(t, b, compat.Options{Kind: compat.Sync, Version: "0.7"}, first.Addr())
	add(t, b, compat.Options{Kind: compat.Sync, Version: "0.5"}, early.Addr())
	everywhere := func(key string, want any) {
		t.Helper()
		for i, p := range peers {
			eventually(t, fmt.Sprintf("%s is %v at native %d, not %v", key, want, i, p.heldAt(key)), func() bool { return fmt.Sprintf("%s", p.heldAt(key)) == fmt.Sprintf("%s", want) })
		}
		for version, n := range olds {
			eventually(t, fmt.Sprintf("%s is %v at %s, not %v", key, want, version, held(t, n, key)), func() bool { return fmt.Sprintf("%s", held(t, n, key)) == fmt.Sprintf("%s", want) })
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
	for version, n := range olds {
		if err := n.Set(t.Context(), "native", "mine"); !errors.Is(err, compat.ErrLeased) {
			t.Errorf("a write of %s to a native key: %v", version, err)
		}
	}
	if err := early.Set(t.Context(), "early", "mine"); !errors.Is(err, compat.ErrLeased) {
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
		for _, n := range []*compat.SyncNode{first, early} {
			eventually(t, key+" is deleted", func() bool { return held(t, n, key) == nil })
		}
	}
	// A node that comes later gets everything.
	if err := peers[1].sync.Set(t.Context(), "k", "v"); err != nil {
		t.Fatal(err)
	}
	everywhere("k", "v")
	late := oldSyncPeer(t, compat.Options{Kind: compat.Sync, Version: "0.7"})
	if err := late.Connect(t.Context(), b.links.all()[1].node.Addr()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the late one has it", func() bool { return held(t, late, "k") == "v" })
	eventually(t, "and the map", func() bool { return fmt.Sprint(held(t, late, "map")) == "map[a:1 b:2]" })
}

// If all claim a key at once, two in each network, the native value stands everywhere, and
// the losing writers accept it.
func TestBridge_NativeValueStandsInConflicts(t *testing.T) {
	peers := natives(t, 2)
	b := peers[0].bridge(t)
	nodes := map[string]*compat.SyncNode{}
	for _, version := range []string{"0.4", "0.5", "0.6", "0.7"} {
		first := oldSyncPeer(t, compat.Options{Kind: compat.Sync, Version: version})
		second := oldSyncPeer(t, compat.Options{Kind: compat.Sync, Version: version})
		if err := second.Connect(t.Context(), first.Addr()); err != nil {
			t.Fatal(err)
		}
		nodes[version], nodes[version+", second"] = first, second
		add(t, b, compat.Options{Kind: compat.Sync, Version: version}, first.Addr())
	}
	settled(t, b)
	for i := range 20 {
		key := fmt.Sprint("key ", i)
		var wg sync.WaitGroup
		for version, n := range nodes {
			wg.Go(func() {
				if err := n.Set(context.Background(), key, version); err != nil && !errors.Is(err, compat.ErrLeased) {
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
func TestBridge_TablesFollowEachOther(t *testing.T) {
	peers := natives(t, 3)
	b := peers[0].bridge(t)
	old := oldChordPeer(t, compat.Options{Kind: compat.Chord, Version: "0.7"})
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
	add(t, b, compat.Options{Kind: compat.Chord, Version: "0.7"}, old.Addr())
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
	eventually(t, "it is deleted at the old node", func() bool { _, err := old.Get(ctx, "n"); return errors.Is(err, compat.ErrNotFound) })
}

func TestOriginPrefix_IsThatOfSync(t *testing.T) {
	if legacy.OriginPrefix != p2psync.LegacyPrefix {
		t.Error("one prefix is two")
	}
}
