package compat

import (
	"fmt"
	"math/rand/v2"
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

func TestMirrorDecisions(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	native := derive("native", "s")
	ours, another, there := claim{true, native, false, 999_990}, claim{true, "old", true, 999_980}, claim{true, "old", true, 900_000}
	for name, c := range map[string]struct {
		native, old             claim
		crosses, equal, accepts bool
		want                    verdict
	}{
		"new":                             {ours, claim{}, true, false, true, verdict{carryOut, native, false, 999_990}},
		"old natively, so it is from now": {claim{true, native, false, 900_000}, claim{}, true, false, true, verdict{carryOut, native, false, 1_000_000}},
		"changed":                         {ours, claim{true, native, false, 999_980}, true, false, true, verdict{carryOut, native, false, 999_990}},
		"renewed":                         {ours, claim{true, native, false, 999_980}, true, true, true, verdict{carryOut, native, false, 999_990}},
		"the same":                        {ours, ours, true, true, true, verdict{}},
		"leased to an old node":           {ours, another, true, false, false, verdict{carryOut, "old", true, 999_980}},
		"leased long ago":                 {ours, there, true, false, false, verdict{carryOut, "old", true, 1_000_000}},
		"leased and equal":                {ours, another, true, true, false, verdict{}},
		"no value there":                  {ours, ours, false, false, true, verdict{removeOut, native, false, 1_000_000}},
		"no value there, nor ours":        {ours, another, false, false, false, verdict{}},
		"deleted":                         {claim{}, ours, false, false, true, verdict{removeOut, native, false, 1_000_000}},
		"deleted and gone":                {claim{}, claim{}, false, false, true, verdict{}},
		"from there":                      {claim{true, "old", false, 5}, another, true, false, true, verdict{}},
		"from there, but lost":            {claim{true, "old", false, 5}, claim{}, true, false, true, verdict{carryOut, "old", false, 1_000_000}},
	} {
		if got := fromNative(now, c.native, c.old, c.crosses, c.equal, c.accepts); got != c.want {
			t.Errorf("%s: %+v, not %+v", name, got, c.want)
		}
	}
	if v := fromOld(ours); v.do != nothing {
		t.Errorf("what came over a bridge goes back: %+v", v)
	}
	if v := fromOld(another); v != (verdict{carryIn, "old", true, 999_980}) {
		t.Errorf("%+v", v)
	}
	if v := fromOld(claim{false, "old", true, 7}); v != (verdict{removeIn, "old", true, 7}) {
		t.Errorf("%+v", v)
	}
}

func TestSharedTables(t *testing.T) {
	for _, c := range []struct {
		native, old, last string
		known, gone       bool
		want              action
	}{
		{"", "", "", false, false, nothing},
		{"a", "a", "", false, false, nothing},
		{"a", "", "", false, false, carryOut},
		{"", "a", "", false, false, carryIn},
		{"a", "b", "", false, false, carryOut}, // the native one stands
		{"a", "b", "b", true, false, carryOut},
		{"a", "b", "a", true, false, carryIn},
		{"a", "b", "c", true, false, carryOut}, // both have changed
		{"", "a", "a", true, false, removeOut},
		{"", "a", "b", true, false, carryIn},
		{"a", "", "a", true, true, removeIn},
		{"a", "", "a", true, false, carryOut}, // it was lost
		{"a", "", "b", true, true, carryOut},
	} {
		if got := shared(c.native, c.old, c.last, c.known, c.gone); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

// Of bridges that hear each other one is elected, and another when it is silent; while they
// do not yet hear each other nobody is.
func TestElection(t *testing.T) {
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 1))
		now := time.Unix(0, 0).Add(time.Hour)
		var all []*election
		alive := map[int]bool{}
		for i := range 2 + rng.IntN(4) {
			all = append(all, &election{self: fmt.Sprint("peer ", i), heard: map[string]time.Time{}, joined: now})
			alive[i] = true
		}
		said := make([]time.Time, len(all))
		wins := func() (n int) {
			for i, e := range all {
				if alive[i] && e.won(now) {
					n++
				}
			}
			return n
		}
		if wins() != 0 {
			t.Fatalf("seed %d: elected before anybody could be heard", seed)
		}
		end, last := now.Add(10*time.Minute), now
		for ; now.Before(end); now = now.Add(200 * time.Millisecond) {
			for i, e := range all {
				if !alive[i] || now.Sub(said[i]) < presentEvery {
					continue
				}
				said[i] = now
				for j, other := range all {
					if alive[j] && j != i && other.hear(now, e.self) {
						said[j] = time.Time{}
					}
				}
			}
			if len(alive) > 1 && rng.IntN(600) == 0 {
				i := rng.IntN(len(all))
				if alive[i] {
					delete(alive, i)
					last = now
				}
			}
			if n := wins(); n > 1 || n == 0 && now.Sub(last) > presentFor+settleTime {
				t.Fatalf("seed %d: %d are elected, %v after the last has gone", seed, n, now.Sub(last))
			}
		}
	}
	e := &election{self: "m", heard: map[string]time.Time{}}
	for i := range 1000 {
		e.hear(time.Unix(0, 0), fmt.Sprint(i))
	}
	if len(e.heard) > maxBridges {
		t.Errorf("%d bridges are remembered", len(e.heard))
	}
}
