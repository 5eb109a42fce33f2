package compat

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/p2p-today/go2p/mesh"
)

// olderVersions are those that are installed.
func olderVersions(t *testing.T) (list []string) {
	for _, version := range []string{"0.4", "0.5", "0.6"} {
		if has(t, "py", version) {
			list = append(list, version)
		}
	}
	return list
}

// connected waits until a bridge is connected with so many old nodes, and returns since when
// it is, by ID.
func connected(t *testing.T, b *Bridge, n int) (since map[string]time.Time) {
	t.Helper()
	eventually(t, "all are connected", func() bool {
		since = connections(b)
		return len(since) == n
	})
	return since
}

// connections are since when a bridge is connected with old nodes, by ID.
func connections(b *Bridge) map[string]time.Time {
	since := map[string]time.Time{}
	for _, l := range b.Links() {
		for _, p := range l.Peers {
			since[p.ID] = p.Since
		}
	}
	return since
}

// unbroken checks that the connections of then are still there, and not new ones.
func unbroken(t *testing.T, b *Bridge, since map[string]time.Time) {
	t.Helper()
	now := connections(b)
	for id, then := range since {
		if !now[id].Equal(then) {
			t.Errorf("the link with %s was lost at some time", id)
		}
	}
	logLinks(t, b)
}

func logLinks(t *testing.T, bridges ...*Bridge) {
	t.Helper()
	for i, b := range bridges {
		for _, l := range b.Links() {
			t.Logf("bridge %d, %s in %q: elected %v, in %d, out %d, dropped %v, refused %v", i, l.Name, l.Options.Subnet, l.Elected, l.In, l.Out, l.Dropped, l.Refused)
		}
	}
}

// A real py and a real js node in networks of their own, and three native peers.
func TestOldBridgeMesh(t *testing.T) {
	installed(t)
	t.Parallel()
	peers := natives(t, 3)
	b := peers[0].bridge(t)
	olds := []*old{
		startOld(t, "py", "0.7", map[string]any{"kind": "mesh", "subnet": "one"}),
		startOld(t, "js", "0.7", map[string]any{"kind": "mesh", "subnet": "one"}),
		startOld(t, "js", "0.7", map[string]any{"kind": "mesh", "subnet": "two"}),
	}
	add(t, b, Options{Kind: Mesh, Version: "0.7", Subnet: "one"}, olds[0].addr, olds[1].addr)
	add(t, b, Options{Kind: Mesh, Version: "0.7", Subnet: "two"}, olds[2].addr)
	for _, version := range olderVersions(t) {
		o := startOld(t, "py", version, nil)
		olds = append(olds, o)
		add(t, b, Options{Kind: Mesh, Version: version}, o.addr)
	}
	settled(t, b)
	since := connected(t, b, len(olds))
	for i, o := range olds {
		text := fmt.Sprint("old ", i)
		o.must("send", map[string]any{"packets": []any{text}})
		for _, p := range peers {
			eventually(t, text, func() bool { return len(p.got(text)) > 0 })
		}
		if m := peers[2].got(text)[0]; !strings.HasSuffix(m.Origin, "/"+o.id) {
			t.Errorf("%+v", m)
		}
		for j, other := range olds {
			if j != i {
				other.message(text)
			}
		}
	}
	for i, p := range peers { // two native authors in turn, and the bridge's own
		text := fmt.Sprint("native ", i)
		if _, err := p.mesh.Broadcast(t.Context(), text); err != nil {
			t.Fatal(err)
		}
		for j, o := range olds {
			o.message(text)
			reply := fmt.Sprint("reply ", j, " to native ", i)
			o.must("reply", map[string]any{"packets": []any{reply}})
			eventually(t, reply, func() bool { return len(p.got(reply)) > 0 })
			m := p.got(reply)[0]
			if m.Kind != mesh.Whisper || !strings.HasSuffix(m.Origin, "/"+o.id) {
				t.Errorf("%+v", m)
			}
			if i > 0 {
				if err := p.mesh.Reply(t.Context(), m, "and "+reply); err != nil {
					t.Fatal(err)
				}
				o.message("and " + reply)
			}
		}
	}
	time.Sleep(500 * time.Millisecond) // for what might come twice
	for i, o := range olds {
		for j, other := range olds {
			if _, n := other.heard(fmt.Sprint("old ", i)); (n == 0 || n > peers[0].stamps(fmt.Sprint("old ", i))) && i != j {
				t.Errorf("%s has heard %s %d times", other.name, o.name, n)
			}
		}
		for j, p := range peers {
			if n := len(p.got(fmt.Sprint("old ", i))); n != p.stamps(fmt.Sprint("old ", i)) {
				t.Errorf("native %d has heard %s %d times", j, o.name, n)
			}
			if _, n := o.heard(fmt.Sprint("native ", j)); n != 1 {
				t.Errorf("%s has heard native %d %d times", o.name, j, n)
			}
		}
	}
	unbroken(t, b, since)
}

// Dictionaries of real old nodes of different versions and of native peers are one.
func TestOldBridgeSync(t *testing.T) {
	installed(t)
	t.Parallel()
	peers := natives(t, 3)
	b := peers[0].bridge(t)
	py := startOld(t, "py", "0.7", map[string]any{"kind": "sync"})
	js := startOld(t, "js", "0.7", map[string]any{"kind": "sync", "subnet": "other"})
	olds, pys := []*old{py, js}, []*old{py}
	py.must("set", map[string]any{"key": "before", "value": "old"})
	if err := peers[1].sync.Set(t.Context(), "native before", "native"); err != nil {
		t.Fatal(err)
	}
	home := add(t, b, Options{Kind: Sync, Version: "0.7"}, py.addr)
	add(t, b, Options{Kind: Sync, Version: "0.7", Subnet: "other"}, js.addr)
	for _, version := range olderVersions(t) {
		o := startOld(t, "py", version, map[string]any{"kind": "sync"})
		olds, pys = append(olds, o), append(pys, o)
		add(t, b, Options{Kind: Sync, Version: version}, o.addr)
	}
	since := connected(t, b, len(olds))
	everywhere := func(key, want string) {
		t.Helper()
		for i, p := range peers {
			eventually(t, fmt.Sprintf("%s at native %d", key, i), func() bool { return fmt.Sprintf("%s", p.heldAt(key)) == want })
		}
		for _, o := range olds {
			o.wait(key, func() bool { return o.get(key) == want })
		}
	}
	everywhere("before", "old")
	everywhere("native before", "native")
	for i, o := range olds {
		key := fmt.Sprint("key ", i)
		o.must("set", map[string]any{"key": key, "value": "1"})
		everywhere(key, "1")
		if err := peers[1].sync.Set(t.Context(), key, "no"); !isLease(err) {
			t.Errorf("a native write to a key of %s: %v", o.name, err)
		}
		nextSecond(t) // within one, the smaller ID wins
		for _, other := range olds {
			if other == o {
				continue
			}
			if _, err := other.do("set", map[string]any{"key": key, "value": "no " + other.name}); err == nil && other.name != "py 0.4" { // whose rule lets some pass
				t.Errorf("%s has written a key of %s", other.name, o.name)
			}
		}
		o.must("set", map[string]any{"key": key, "value": "2"})
		everywhere(key, "2")
		native := fmt.Sprint("native ", i)
		writer := peers[i%len(peers)]
		if err := writer.sync.Set(t.Context(), native, "1"); err != nil {
			t.Fatal(err)
		}
		everywhere(native, "1")
		nextSecond(t)
		if _, err := o.do("set", map[string]any{"key": native, "value": "no"}); err == nil && o.name != "py 0.4" {
			t.Errorf("%s has written a native key", o.name)
		}
		if err := writer.sync.Set(t.Context(), native, "2"); err != nil {
			t.Fatal(err)
		}
		everywhere(native, "2")
	}
	py.must("apply_delta", map[string]any{"key": "map", "delta": map[string]any{"a": 1}})
	py.must("apply_delta", map[string]any{"key": "map", "delta": map[string]any{"b": 2}})
	for _, p := range peers {
		eventually(t, "the map", func() bool { return fmt.Sprint(p.heldAt("map")) == "map[a:1 b:2]" })
	}
	py.must("del", map[string]any{"key": "before"})
	if err := peers[1].sync.Delete(t.Context(), "native before"); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"before", "native before"} {
		for _, p := range peers {
			eventually(t, key+" is deleted", func() bool { return p.heldAt(key) == nil })
		}
		for _, o := range pys { // js of 0.7 cannot delete
			o.wait(key+" deleted", func() bool { v := o.get(key); return v == nil || v == "" })
		}
	}
	late := startOld(t, "js", "0.7", map[string]any{"kind": "sync"})
	late.connect(home.Addr)
	late.wait("what there was", func() bool { return late.get("native 1") == "2" && late.get("key 2") == "2" })
	for i, o := range olds {
		for j := range 5 { // both at once
			key := fmt.Sprint("contest ", i, j)
			done := make(chan error)
			go func() {
				_, err := o.do("set", map[string]any{"key": key, "value": "old"})
				done <- err
			}()
			err := peers[1].sync.Set(context.Background(), key, "native")
			if err != nil && !isLease(err) {
				t.Error(err)
			}
			<-done
			eventually(t, key+" is equal", func() bool {
				want := fmt.Sprintf("%s", peers[0].heldAt(key))
				return want == fmt.Sprintf("%s", peers[1].heldAt(key)) && want == o.get(key) && want != "%!s(<nil>)"
			})
		}
	}
	unbroken(t, b, since)
}

// Tables of real old nodes and of native peers.
func TestOldBridgeChord(t *testing.T) {
	installed(t)
	t.Parallel()
	peers := natives(t, 3)
	b := peers[0].bridge(t)
	for _, language := range []string{"py", "js"} {
		o := startOld(t, language, "0.7", map[string]any{"kind": "chord", "subnet": "chord " + language})
		o.must("join", nil)
		add(t, b, Options{Kind: Chord, Version: "0.7", Subnet: "chord " + language}, o.addr)
		l := b.links.all()[len(b.links.all())-1]
		eventually(t, "connected", func() bool { return slices.Contains(o.peers(), l.node.ID()) })
		for i := range 3 {
			native, key := fmt.Sprint("native for ", language, i), fmt.Sprint("key of ", language, i)
			if err := peers[1].table.Set(t.Context(), native, "1"); err != nil {
				t.Fatal(err)
			}
			o.wait(native, func() bool { return o.get(native) == "1" })
			o.must("set", map[string]any{"key": key, "value": "2"})
			eventually(t, key, func() bool { v, err := peers[2].table.Get(t.Context(), key); return err == nil && v == "2" })
		}
	}
	logLinks(t, b)
	if err := b.Remove("nobody"); !errors.Is(err, ErrNoLink) {
		t.Error(err)
	}
}

// nextSecond waits until it is the next second, for py as well, whose clock is some
// milliseconds behind.
func nextSecond(t testing.TB) {
	t.Helper()
	second := time.Now().Unix()
	eventually(t, "the next second", func() bool { return time.Now().Add(-50*time.Millisecond).Unix() > second })
}
