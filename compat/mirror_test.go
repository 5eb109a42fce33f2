package compat

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
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
		sides
		want verdict
	}{
		"new":                             {sides{ours, claim{}, true, false, true}, verdict{carryOut, native, false, 999_990}},
		"old natively, so it is from now": {sides{claim{true, native, false, 900_000}, claim{}, true, false, true}, verdict{carryOut, native, false, 999_995}},
		"changed":                         {sides{ours, claim{true, native, false, 999_980}, true, false, true}, verdict{carryOut, native, false, 999_990}},
		"renewed":                         {sides{ours, claim{true, native, false, 999_980}, true, true, true}, verdict{carryOut, native, false, 999_990}},
		"the same":                        {sides{ours, ours, true, true, true}, verdict{}},
		"leased to an old node":           {sides{ours, another, true, false, false}, verdict{carryOut, "old", true, 999_980}},
		"leased long ago":                 {sides{ours, there, true, false, false}, verdict{carryOut, "old", true, 999_995}},
		"leased and equal":                {sides{ours, another, true, true, false}, verdict{}},
		"no value there":                  {sides{ours, ours, false, false, true}, verdict{removeOut, native, false, 1_000_000}},
		"no value there, nor ours":        {sides{ours, another, false, false, false}, verdict{do: withhold}},
		"deleted":                         {sides{claim{}, ours, false, false, true}, verdict{removeOut, native, false, 1_000_000}},
		"deleted and gone":                {sides{claim{}, claim{}, false, false, true}, verdict{}},
		"from there":                      {sides{claim{true, "old", false, 5}, another, true, false, true}, verdict{}},
		"from there, but lost":            {sides{claim{true, "old", false, 5}, claim{}, true, false, true}, verdict{carryOut, "old", false, 999_995}},
	} {
		if got := fromNative(now, c.sides); got != c.want {
			t.Errorf("%s: %+v, not %+v", name, got, c.want)
		}
	}
	taken := claim{true, derive("another", "s"), false, 999_985}
	for name, c := range map[string]struct {
		did action
		sides
		want verdict
	}{
		"an old write":              {carryIn, sides{taken, another, true, false, false}, verdict{carryOut, "old", true, 999_980}},
		"an old write of the same":  {carryIn, sides{taken, another, true, true, false}, verdict{}},
		"over what has no value":    {carryIn, sides{taken, another, false, false, false}, verdict{do: withhold}},
		"an old write, gone since":  {carryIn, sides{taken, claim{}, true, false, true}, verdict{carryOut, taken.owner, false, 999_985}},
		"an old delete":             {removeIn, sides{taken, claim{}, true, false, true}, verdict{carryOut, taken.owner, false, 999_985}},
		"an old delete, both gone":  {removeIn, sides{}, verdict{}},
		"a delete, and a new write": {removeIn, sides{taken, another, true, false, false}, verdict{carryOut, "old", true, 999_980}},
	} {
		if got := fromLeased(now, c.did, c.sides); got != c.want {
			t.Errorf("%s: %+v, not %+v", name, got, c.want)
		}
	}
	lost, delta := claim{true, "loser", true, 999_985}, claim{false, "loser", true, 999_985}
	for name, c := range map[string]struct {
		lost      claim
		own, same bool
		sides
		want  verdict
		rival bool
	}{
		"against a native one":      {lost, false, false, sides{ours, ours, true, true, true}, verdict{carryOut, "loser", true, 999_985}, true},
		"of the same value":         {lost, false, true, sides{ours, ours, true, true, true}, verdict{}, true},
		"a delta":                   {delta, false, false, sides{ours, ours, true, true, true}, verdict{carryOut, "loser", true, 999_985}, true},
		"long ago":                  {claim{true, "loser", true, 900_000}, false, false, sides{ours, ours, true, true, true}, verdict{carryOut, "loser", true, 999_995}, true},
		"against another old one":   {lost, false, false, sides{another, another, true, true, true}, verdict{carryOut, "loser", true, 999_985}, true},
		"nothing natively":          {lost, false, false, sides{claim{}, another, false, false, true}, verdict{}, false},
		"against what has no value": {lost, false, false, sides{ours, claim{}, false, false, true}, verdict{}, false},
		"against itself":            {lost, true, false, sides{ours, ours, true, true, true}, verdict{carryIn, "loser", true, 999_985}, false},
		"a delta against itself":    {delta, true, false, sides{ours, ours, true, true, true}, verdict{carryOut, "loser", true, 999_985}, true},
	} {
		if got, rival := fromContest(now, c.lost, c.own, c.same, c.sides); got != c.want || rival != c.rival {
			t.Errorf("%s: %+v, %v, not %+v, %v", name, got, rival, c.want, c.rival)
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

func TestSharedTables(t *testing.T) {
	for _, c := range []struct {
		share
		want action
	}{
		{share{}, nothing},
		{share{native: "a", old: "a"}, nothing},
		{share{native: "a"}, carryOut},
		{share{old: "a"}, carryIn},
		{share{native: "a", old: "b"}, carryOut}, // the native one stands
		{share{native: "a", old: "b", last: "b", known: true}, carryOut},
		{share{native: "a", old: "b", last: "a", known: true}, carryIn},
		{share{native: "a", old: "b", last: "c", known: true}, carryOut}, // both have changed
		{share{old: "a", last: "a", known: true, deleted: true}, removeOut},
		{share{old: "a", last: "a", known: true}, carryIn}, // it was lost
		{share{old: "a", last: "b", known: true, deleted: true}, carryIn},
		{share{native: "a", last: "a", known: true, gone: true}, removeIn},
		{share{native: "a", last: "a", known: true}, wait},
		{share{native: "a", last: "a", known: true, again: true}, carryOut}, // it was lost
		{share{native: "a", last: "b", known: true, gone: true}, carryOut},
	} {
		if got := c.decide(); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

// Of several causes to look at a key none gets lost, and what came last counts.
func TestWork(t *testing.T) {
	added, deleted := cause{native: true, version: 2}, cause{native: true, version: 3, deleted: true}
	set, gone := cause{old: true, owner: "a"}, cause{old: true, gone: true}
	lost := func(senders ...string) (c cause) {
		for i, sender := range senders {
			c.lost = append(c.lost, contest{sender: sender, time: int64(i)})
		}
		return
	}
	many := make([]string, maxRivals+1)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	for name, c := range map[string]struct{ first, later, want cause }{
		"versions":           {added, deleted, deleted},
		"behind each other":  {deleted, added, deleted},
		"both sides":         {gone, added, cause{native: true, version: 2, old: true, gone: true}},
		"the old side twice": {gone, set, set},
		"lost, and changed":  {lost("a"), set, cause{old: true, owner: "a", lost: lost("a").lost}},
		"changed, and lost":  {set, lost("a"), cause{old: true, owner: "a", lost: lost("a").lost}},
		"two have lost":      {lost("a"), lost("b"), cause{lost: append(lost("a").lost, lost("b").lost...)}},
		"one has lost twice": {lost("b", "a"), lost("a"), cause{lost: append(lost("b").lost, lost("a").lost...)}},
		"too many":           {cause{}, lost(many...), cause{lost: lost(many...).lost[1:]}},
		"again":              {cause{old: true, again: true}, added, cause{native: true, version: 2, old: true}},
	} {
		w := newWork()
		w.old("key", c.first)
		w.old("key", c.later)
		if key, got, err := w.take(t.Context()); key != "key" || !reflect.DeepEqual(got, c.want) || err != nil {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		w.old("key", c.later)
		w.again("key", c.first)
		if _, got, err := w.take(t.Context()); !reflect.DeepEqual(got, c.want) || err != nil {
			t.Errorf("%s, again: %+v, %v", name, got, err)
		}
		if len(w.order)+len(w.keys) != 0 {
			t.Errorf("%s: there is more to do", name)
		}
	}
	for _, c := range []struct {
		cause
		held    bool
		version uint64
		want    bool
	}{
		{added, true, 2, false}, {added, true, 3, false}, {added, true, 1, true}, {added, false, 0, true},
		{deleted, false, 0, false}, {deleted, true, 2, true}, {deleted, true, 4, false}, {set, false, 0, false}, {set, true, 1, false},
	} {
		if got := c.outruns(c.held, c.version); got != c.want {
			t.Errorf("%+v outruns %v %d: %v", c.cause, c.held, c.version, got)
		}
	}
}

func TestRivals(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	r := rivals{}
	ids := func(list []rival) (ids []string) {
		for _, v := range list {
			ids = append(ids, v.id)
		}
		return
	}
	r.add(now, "key", rival{id: "a", text: true})
	r.add(now.Add(30*time.Minute), "key", rival{id: "b"})
	r.add(now.Add(30*time.Minute), "another", rival{id: "c"})
	if got := r.others(now.Add(time.Hour), "key", ""); !slices.Equal(ids(got), []string{"a", "b"}) || !got[0].text || got[1].text {
		t.Errorf("%+v", got)
	}
	if got := ids(r.others(now.Add(time.Hour), "key", "b")); !slices.Equal(got, []string{"a"}) {
		t.Error("but for b:", got)
	}
	if got := ids(r.others(now.Add(time.Hour+time.Second), "key", "")); !slices.Equal(got, []string{"b"}) {
		t.Error("after an hour:", got)
	}
	if got := ids(r.told(now.Add(time.Hour), "key", "b", false)); !slices.Equal(got, []string{"a"}) {
		t.Error("others than b are", got)
	}
	if got := ids(r.others(now.Add(2*time.Hour), "key", "")); !slices.Equal(got, []string{"a", "b"}) {
		t.Error("an hour after both were told:", got)
	}
	if got := ids(r.told(now.Add(2*time.Hour), "key", "b", true)); !slices.Equal(got, []string{"a"}) {
		t.Error("others than b are", got)
	}
	if got := r.others(now.Add(2*time.Hour), "key", ""); len(got) != 0 {
		t.Errorf("after a delete: %+v", got)
	}
	r.add(now, "key", rival{id: "a"})
	r.told(now.Add(2*time.Hour), "key", "b", false)
	if got := r.others(now.Add(2*time.Hour), "key", ""); len(got) != 0 {
		t.Errorf("told when its lease was over: %+v", got)
	}
	for i := range 2 * maxRivals {
		r.add(now, "key", rival{id: fmt.Sprint(i)})
	}
	if got := ids(r["key"]); len(got) != maxRivals || got[0] != fmt.Sprint(maxRivals) {
		t.Error("of too many stay", got)
	}
	for i := range 2 * maxContested {
		r.add(now, fmt.Sprint("key ", i), rival{id: "a"})
	}
	if len(r) > maxContested {
		t.Errorf("of %d keys", len(r))
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
