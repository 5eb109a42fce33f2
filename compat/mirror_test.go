package compat

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
	p2psync "github.com/p2p-today/go2p/sync"
)

func TestDerivedIDs(t *testing.T) {
	seen := map[string]bool{}
	for i := range 1000 {
		for _, subnet := range []string{"a", "b"} {
			id := derive(fmt.Sprint("author ", i), subnet)
			if !marked(id) || seen[id] || id != derive(fmt.Sprint("author ", i), subnet) {
				t.Fatalf("%s is marked %v, seen %v", id, marked(id), seen[id])
			}
			seen[id] = true
			if _, err := wire.ParseBase58(id); err != nil {
				t.Fatal(err)
			}
			if marked(wire.NodeID("127.0.0.1", i, subnet, "salt")) {
				t.Fatal("a node has a derived ID by itself")
			}
		}
	}
	for _, id := range []string{"", mark, strings.Repeat("g", idLength), mark + "x"} {
		if marked(id) {
			t.Errorf("%q is marked", id)
		}
	}
	if OriginPrefix != p2psync.LegacyPrefix {
		t.Error("one prefix is two")
	}
	for origin, want := range map[string][3]string{
		"legacy:mesh/id": {"mesh", "id", "true"}, "legacy:a/b/id": {"a/b", "id", "true"}, "legacy:/id": {"", "id", "true"},
		"legacy:id": {"", "", "false"}, "12D3Koo": {"", "", "false"},
	} {
		subnet, id, ok := splitOrigin(origin)
		if got := [3]string{subnet, id, fmt.Sprint(ok)}; got != want {
			t.Errorf("%s: %v", origin, got)
		}
	}
}

// Old nodes take a write of another than the owner only if it does not depend on a second.
func TestSurely(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	held := entry{value: []byte("x"), owner: "m", time: 999_990}
	for name, c := range map[string]struct {
		versions string
		free     bool // no leases
		e        entry
		want     bool
	}{
		"the owner":                              {"0.4 0.5 0.6 0.7", false, entry{owner: "m", time: 999_980}, true},
		"another":                                {"0.4 0.5 0.6 0.7", false, entry{owner: "a", time: 999_991}, false},
		"another of the same time":               {"0.4 0.5 0.6 0.7", false, entry{owner: "a", time: 999_990}, false},
		"another that is older":                  {"0.4 0.5 0.6 0.7", false, entry{owner: "a", time: 999_989}, false},
		"another, without leases":                {"0.4 0.5 0.6 0.7", true, entry{owner: "z", time: 999_991}, true},
		"another of the same time, without them": {"0.4", true, entry{owner: "z", time: 999_990}, true},
		"an older one, without leases":           {"0.5 0.6 0.7", true, entry{owner: "a", time: 999_989}, false},
	} {
		for _, version := range strings.Fields(c.versions) {
			d := member(t, version, Sync, 0).ext.(*dictionary)
			d.leasing = !c.free
			if !d.surely(now, "key", c.e) {
				t.Errorf("%s: %s: it is not taken where nothing is", name, version)
			}
			d.put("key", held)
			if got := d.surely(now, "key", c.e); got != c.want {
				t.Errorf("%s: %s: %v", name, version, got)
			}
			if !d.surely(now.Add(2*lease), "key", c.e) {
				t.Errorf("%s: %s: it is not taken when the lease is over", name, version)
			}
		}
	}
}
