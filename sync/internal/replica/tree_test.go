package replica

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// The tree does what a sorted slice does.
func TestTree_IsSortedMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var tr tree
		model := map[string]*Entry{}
		key := rapid.StringMatching(`[a-d]{0,5}`)
		for i := range rapid.IntRange(0, 3000).Draw(t, "steps") {
			k := key.Draw(t, "key")
			if rapid.IntRange(0, 9).Draw(t, "what") < 6 {
				e := &Entry{Record: Record{Key: k, Seq: uint64(i)}}
				e.hash = e.Record.hash()
				agree := rapid.IntRange(0, 4).Draw(t, "agree") > 0
				if old, in := tr.put(e, func(old *Entry) bool { return agree && old == model[k] }); old != model[k] || in != agree {
					t.Fatalf("put %q met %v, not %v, and is in: %v", k, old, model[k], in)
				}
				if agree {
					model[k] = e
				}
			} else {
				if old := tr.remove(k); old != model[k] {
					t.Fatalf("remove %q took %v, not %v", k, old, model[k])
				}
				delete(model, k)
			}
		}
		var keys []string
		for k := range model {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		if tr.len() != len(keys) {
			t.Fatalf("%d entries, not %d", tr.len(), len(keys))
		}
		for i, k := range keys {
			if tr.at(i) != model[k] || tr.get(k) != model[k] {
				t.Fatalf("%q is not at %d", k, i)
			}
		}
		for range 20 {
			in := span{key.Draw(t, "lo"), key.Draw(t, "hi")}
			if in.hi != "" && in.hi < in.lo {
				in.lo, in.hi = in.hi, in.lo
			}
			var want summary
			var inside, got []string
			for _, k := range keys {
				if in.has(k) {
					want.add(model[k].summary())
					inside = append(inside, k)
				}
			}
			for e := range tr.all(in) {
				got = append(got, e.Key)
			}
			if sum := tr.summarise(in); sum != want || !slices.Equal(got, inside) {
				t.Fatalf("%+v has %+v %q, not %+v %q", in, sum, got, want, inside)
			}
		}
		check(t, tr.root)
	})
}

// check checks the sums and sizes of all nodes.
func check(t rapid.TB, n *node) {
	if n == nil {
		return
	}
	var sum summary
	for _, e := range n.entries {
		sum.add(e.summary())
	}
	for _, c := range n.children {
		check(t, c)
		sum.add(c.summary)
	}
	if sum != n.summary || n.count == 0 || len(n.entries) >= branching || len(n.children) >= branching || n.entries != nil && n.children != nil {
		t.Fatalf("node of %d entries and %d children with %+v, not %+v", len(n.entries), len(n.children), n.summary, sum)
	}
}
