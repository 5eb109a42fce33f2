package bridge

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/p2p-today/go2p/compat"
	"github.com/p2p-today/go2p/internal/oldpeers"
	"github.com/p2p-today/go2p/mesh"
)

// olderVersions are those that are installed.
func olderVersions(t *testing.T) (list []string) {
	for _, version := range []string{"0.4", "0.5", "0.6"} {
		if oldpeers.Has(t, "py", version) {
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
func TestOldBridge_MessagesCross(t *testing.T) {
	oldpeers.Installed(t)
	t.Parallel()
	peers := natives(t, 3)
	b := peers[0].bridge(t)
	olds := []*oldpeers.Node{
		oldpeers.Start(t, "py", "0.7", map[string]any{"kind": "mesh", "subnet": "one"}),
		oldpeers.Start(t, "js", "0.7", map[string]any{"kind": "mesh", "subnet": "one"}),
		oldpeers.Start(t, "js", "0.7", map[string]any{"kind": "mesh", "subnet": "two"}),
	}
	add(t, b, compat.Options{Kind: compat.Mesh, Version: "0.7", Subnet: "one"}, olds[0].Addr, olds[1].Addr)
	add(t, b, compat.Options{Kind: compat.Mesh, Version: "0.7", Subnet: "two"}, olds[2].Addr)
	for _, version := range olderVersions(t) {
		o := oldpeers.Start(t, "py", version, nil)
		olds = append(olds, o)
		add(t, b, compat.Options{Kind: compat.Mesh, Version: version}, o.Addr)
	}
	settled(t, b)
	since := connected(t, b, len(olds))
	for i, o := range olds {
		text := fmt.Sprint("old ", i)
		o.Must("send", map[string]any{"packets": []any{text}})
		for _, p := range peers {
			eventually(t, text, func() bool { return len(p.got(text)) > 0 })
		}
		if m := peers[2].got(text)[0]; !strings.HasSuffix(m.Origin, "/"+o.ID) {
			t.Errorf("%+v", m)
		}
		for j, other := range olds {
			if j != i {
				other.Message(text)
			}
		}
	}
	for i, p := range peers { // two native authors in turn, and the bridge's own
		text := fmt.Sprint("native ", i)
		if _, err := p.mesh.Broadcast(t.Context(), text); err != nil {
			t.Fatal(err)
		}
		for j, o := range olds {
			o.Message(text)
			reply := fmt.Sprint("reply ", j, " to native ", i)
			o.Must("reply", map[string]any{"packets": []any{reply}})
			eventually(t, reply, func() bool { return len(p.got(reply)) > 0 })
			m := p.got(reply)[0]
			if m.Kind != mesh.Whisper || !strings.HasSuffix(m.Origin, "/"+o.ID) {
				t.Errorf("%+v", m)
			}
			if i > 0 {
				if err := p.mesh.Reply(t.Context(), m, "and "+reply); err != nil {
					t.Fatal(err)
				}
				o.Message("and " + reply)
			}
		}
	}
	time.Sleep(500 * time.Millisecond) // for what might come twice
	for i, o := range olds {
		for j, other := range olds {
			if _, n := other.Heard(fmt.Sprint("old ", i)); (n == 0 || n > peers[0].stamps(fmt.Sprint("old ", i))) && i != j {
				t.Errorf("%s has heard %s %d times", other.Name, o.Name, n)
			}
		}
		for j, p := range peers {
			if n := len(p.got(fmt.Sprint("old ", i))); n != p.stamps(fmt.Sprint("old ", i)) {
				t.Errorf("native %d has heard %s %d times", j, o.Name, n)
			}
			if _, n := o.Heard(fmt.Sprint("native ", j)); n != 1 {
				t.Errorf("%s has heard native %d %d times", o.Name, j, n)
			}
		}
	}
	unbroken(t, b, since)
}

// Dictionaries of real old nodes of different versions and of native peers are one.
func TestOldBridge_KeysCross(t *testing.T) {
	oldpeers.Installed(t)
	t.Parallel()
	peers := natives(t, 3)
	b := peers[0].bridge(t)
	py := oldpeers.Start(t, "py", "0.7", map[string]any{"kind": "sync"})
	js := oldpeers.Start(t, "js", "0.7", map[string]any{"kind": "sync", "subnet": "other"})
	olds, pys := []*oldpeers.Node{py, js}, []*oldpeers.Node{py}
	py.Must("set", map[string]any{"key": "before", "value": "old"})
	if err := peers[1].sync.Set(t.Context(), "native before", "native"); err != nil {
		t.Fatal(err)
	}
	home := add(t, b, compat.Options{Kind: compat.Sync, Version: "0.7"}, py.Addr)
	add(t, b, compat.Options{Kind: compat.Sync, Version: "0.7", Subnet: "other"}, js.Addr)
	for _, version := range olderVersions(t) {
		o := oldpeers.Start(t, "py", version, map[string]any{"kind": "sync"})
		olds, pys = append(olds, o), append(pys, o)
		add(t, b, compat.Options{Kind: compat.Sync, Version: version}, o.Addr)
	}
	since := connected(t, b, len(olds))
	everywhere := func(key, want string) {
		t.Helper()
		for i, p := range peers {
			eventually(t, fmt.Sprintf("%s at native %d", key, i), func() bool { return fmt.Sprintf("%s", p.heldAt(key)) == want })
		}
		for _, o := range olds {
			o.Wait(key, func() bool { return o.Get(key) == want })
		}
	}
	everywhere("before", "old")
	everywhere("native before", "native")
	for i, o := range olds {
		key := fmt.Sprint("key ", i)
		o.Must("set", map[string]any{"key": key, "value": "1"})
		everywhere(key, "1")
		if err := peers[1].sync.Set(t.Context(), key, "no"); !isLease(err) {
			t.Errorf("a native write to a key of %s: %v", o.Name, err)
		}
		nextSecond(t) // within one, the smaller ID wins
		for _, other := range olds {
			if other == o {
				continue
			}
			if _, err := other.Do("set", map[string]any{"key": key, "value": "no " + other.Name}); err == nil && other.Name != "py 0.4" { // whose rule lets some pass
				t.Errorf("%s has written a key of %s", other.Name, o.Name)
			}
		}
		o.Must("set", map[string]any{"key": key, "value": "2"})
		everywhere(key, "2")
		native := fmt.Sprint("native ", i)
		writer := peers[i%len(peers)]
		if err := writer.sync.Set(t.Context(), native, "1"); err != nil {
			t.Fatal(err)
		}
		everywhere(native, "1")
		nextSecond(t)
		if _, err := o.Do("set", map[string]any{"key": native, "value": "no"}); err == nil && o.Name != "py 0.4" {
			t.Errorf("%s has written a native key", o.Name)
		}
		if err := writer.sync.Set(t.Context(), native, "2"); err != nil {
			t.Fatal(err)
		}
		everywhere(native, "2")
	}
	py.Must("apply_delta", map[string]any{"key": "map", "delta": map[string]any{"a": 1}})
	py.Must("apply_delta", map[string]any{"key": "map", "delta": map[string]any{"b": 2}})
	for _, p := range peers {
		eventually(t, "the map", func() bool { return fmt.Sprint(p.heldAt("map")) == "map[a:1 b:2]" })
	}
	py.Must("del", map[string]any{"key": "before"})
	if err := peers[1].sync.Delete(t.Context(), "native before"); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"before", "native before"} {
		for _, p := range peers {
			eventually(t, key+" is deleted", func() bool { return p.heldAt(key) == nil })
		}
		for _, o := range pys { // js of 0.7 cannot delete
			o.Wait(key+" deleted", func() bool { v := o.Get(key); return v == nil || v == "" })
		}
	}
	late := oldpeers.Start(t, "js", "0.7", map[string]any{"kind": "sync"})
	late.Connect(home.Addr)
	late.Wait("what there was", func() bool { return late.Get("native 1") == "2" && late.Get("key 2") == "2" })
	for i, o := range olds {
		for j := range 5 { // both at once
			key := fmt.Sprint("contest ", i, j)
			done := make(chan error)
			go func() {
				_, err := o.Do("set", map[string]any{"key": key, "value": "old"})
				done <- err
			}()
			err := peers[1].sync.Set(context.Background(), key, "native")
			if err != nil && !isLease(err) {
				t.Error(err)
			}
			<-done
			eventually(t, key+" is equal", func() bool {
				want := fmt.Sprintf("%s", peers[0].heldAt(key))
				return want == fmt.Sprintf("%s", peers[1].heldAt(key)) && want == o.Get(key) && want != "%!s(<nil>)"
			})
		}
	}
	unbroken(t, b, since)
}

// Tables of real old nodes and of native peers.
func TestOldBridge_TablesFollowEachOther(t *testing.T) {
	oldpeers.Installed(t)
	t.Parallel()
	peers := natives(t, 3)
	b := peers[0].bridge(t)
	for _, language := range []string{"py", "js"} {
		o := oldpeers.Start(t, language, "0.7", map[string]any{"kind": "chord", "subnet": "chord " + language})
		o.Must("join", nil)
		add(t, b, compat.Options{Kind: compat.Chord, Version: "0.7", Subnet: "chord " + language}, o.Addr)
		l := b.links.all()[len(b.links.all())-1]
		eventually(t, "connected", func() bool { return slices.Contains(o.Peers(), l.node.ID()) })
		for i := range 3 {
			native, key := fmt.Sprint("native for ", language, i), fmt.Sprint("key of ", language, i)
			if err := peers[1].table.Set(t.Context(), native, "1"); err != nil {
				t.Fatal(err)
			}
			o.Wait(native, func() bool { return o.Get(native) == "1" })
			o.Must("set", map[string]any{"key": key, "value": "2"})
			eventually(t, key, func() bool { v, err := peers[2].table.Get(t.Context(), key); return err == nil && v == "2" })
		}
	}
	logLinks(t, b)
	if err := b.Remove("nobody"); !errors.Is(err, ErrNoLink) {
		t.Error(err)
	}
}

// A bridge relays between two py nodes that speak and hear as fast as they can, without
// losing anything or a link. The bench compares it with what they exchange by themselves.
func TestOldBridge_UnderLoadLosesNothing(t *testing.T) {
	oldpeers.Needs(t, "py", "0.7")
	length := 5 * time.Second
	if os.Getenv("GO2P_LONG") == "1" {
		length = time.Minute
	}
	speaker := oldpeers.Start(t, "py", "0.7", map[string]any{"quiet": true, "subnet": "one"})
	hearer := oldpeers.Start(t, "py", "0.7", map[string]any{"quiet": true, "subnet": "two"})
	b := natives(t, 1)[0].bridge(t)
	add(t, b, compat.Options{Kind: compat.Mesh, Version: "0.7", Subnet: "one"}, speaker.Addr)
	add(t, b, compat.Options{Kind: compat.Mesh, Version: "0.7", Subnet: "two"}, hearer.Addr)
	settled(t, b)
	since := connected(t, b, 2)
	const burst = 20
	heard := 0.0
	start := time.Now()
	for i := 0; time.Since(start) < length; i++ {
		speaker.Must("burst", map[string]any{"count": burst, "packets": []any{fmt.Sprint(i)}})
		got := hearer.Must("stats", map[string]any{"count": burst, "wait": 10})["count"].(float64)
		if got < burst {
			t.Errorf("%.0f of %d are heard", got, burst)
		}
		heard += got
	}
	unbroken(t, b, since)
	t.Logf("%.0f broadcasts/s", heard/time.Since(start).Seconds())
}
