package replica

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A traffic is what a reconciliation took.
type traffic struct{ messages, bytes int }

// reconcile lets two replicas run a session over the wire. Before each message
// something may happen.
func reconcile(t rapid.TB, now Instant, a, b *Replica, meanwhile func()) (tr traffic) {
	t.Helper()
	sessions := [2]*Reconciliation{NewReconciliation(a), NewReconciliation(b)}
	first := sessions[0].Start([]byte("saltsalt"))
	at, frames := 1, [][]byte{first.Append(nil)}
	for len(frames) > 0 {
		tr.messages++
		var next Step
		for _, f := range frames {
			tr.bytes += len(f)
			meanwhile()
			m, err := ParseMessage(f, now.Count)
			if err != nil {
				t.Fatal(err)
			}
			if next, err = sessions[at].Receive(now, m); err != nil || next.IdentityClash {
				t.Fatalf("%v, %+v", err, next.Effects)
			}
		}
		frames = nil
		for len(next.Records) > 0 {
			var body []byte
			if body, next.Records = AppendChunk(next.Records, now.Count); body != nil {
				frames = append(frames, body)
			}
		}
		if next.Reply != nil {
			frames = append(frames, next.Reply.Append(nil))
		}
		at = 1 - at
	}
	for _, s := range sessions {
		if !s.done {
			t.Fatal("a session does not end")
		}
	}
	return tr
}

// populate has a writer set n keys in batches, at all of the replicas.
func populate(t rapid.TB, now Instant, n int, replicas ...*Replica) {
	t.Helper()
	for first := 0; first < n; first += maxBatch {
		var ops []Op
		for i := first; i < min(n, first+maxBatch); i++ {
			ops = append(ops, Op{Key: fmt.Sprintf("sensor/%08x/value", uint32(i)*2654435761), Value: string(make([]byte, 100))})
		}
		set(t, now, ops, replicas...)
	}
}

// set has the first replica do some things in one batch, which the others get as well.
func set(t rapid.TB, now Instant, ops []Op, replicas ...*Replica) {
	t.Helper()
	entries, err := replicas[0].plan(now, ops)
	if err != nil {
		t.Fatal(err)
	}
	b := NewBatch(replicas[0].Writer, Digest{9}, entries)
	b.Sig = make([]byte, 64)
	var places []int
	for i := range entries {
		places = append(places, i)
	}
	data := b.Append(nil, places, now.Count)
	replicas[0].commit(now, entries, &Effects{})
	for _, r := range replicas[1:] {
		there, err := received(data, now.Count)
		if err != nil {
			t.Fatal(err)
		}
		r.Receive(now, slices.Clone(there.leaves))
	}
}

func testReplica(id string) *Replica {
	return New(Rules{Self: id, Leasing: false, Lease: time.Hour}, id+"/1", 1<<40)
}

// Reconciliation ends with what comparing all keys ends with, also when both sides
// change meanwhile.
func TestReconciliation_EndsEqual(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		now := Instant{Count: time.Minute, Wall: time.UnixMilli(0)}
		rs := []*Replica{testReplica("a"), testReplica("b"), testReplica("c")}
		act := func(i int) {
			var ops []Op
			seen := map[string]bool{}
			for range rapid.IntRange(1, 20).Draw(rt, "ops") {
				o := Op{Key: rapid.StringMatching(`[a-c]{0,6}`).Draw(rt, "key"), Value: "v"}
				if seen[o.Key] {
					continue
				}
				seen[o.Key] = true
				if rs[i].tree.get(o.Key) != nil && rapid.Bool().Draw(rt, "delete") {
					o.Value, o.Delete = "", true
				}
				ops = append(ops, o)
			}
			order := []*Replica{rs[i]}
			for j, r := range rs {
				if j != i && rapid.IntRange(0, 2).Draw(rt, "arrives") == 0 {
					order = append(order, r)
				}
			}
			set(t, now, ops, order...)
		}
		for range rapid.IntRange(0, 40).Draw(rt, "acts") {
			act(rapid.IntRange(0, 2).Draw(rt, "who"))
		}
		for range 3 {
			reconcile(t, now, rs[0], rs[1], func() {
				if rapid.IntRange(0, 3).Draw(rt, "meanwhile") == 0 {
					act(rapid.IntRange(0, 2).Draw(rt, "who"))
				}
			})
			reconcile(t, now, rs[1], rs[2], func() {})
		}
		for range 2 {
			reconcile(t, now, rs[0], rs[1], func() {})
			reconcile(t, now, rs[1], rs[2], func() {})
			reconcile(t, now, rs[2], rs[0], func() {})
		}
		for _, r := range rs[1:] {
			if r.tree.summarise(span{}) != rs[0].tree.summarise(span{}) || r.seen.hash() != rs[0].seen.hash() {
				rt.Fatalf("%v and %v differ", show(rs[0]), show(r))
			}
			if len(r.waiting) != 0 {
				rt.Fatalf("%d events wait", len(r.waiting))
			}
		}
		if tr := reconcile(t, now, rs[0], rs[1], func() {}); tr.bytes > 64 {
			rt.Fatalf("equal replicas exchange %d bytes", tr.bytes)
		}
	})
}

// What equal replicas, few differences and a late joiner cost.
func TestReconciliation_IsCheap(t *testing.T) {
	n := 100_000
	if os.Getenv("GO2P_LONG") == "1" {
		n = 1_000_000
	}
	now := Instant{Count: time.Minute, Wall: time.UnixMilli(0)}
	a, b := testReplica("a"), testReplica("b")
	populate(t, now, n, a, b)
	mine := Rules{Self: "a", Leasing: true, Lease: time.Hour}.Params() // the longer ones
	first := (&Message{Params: &mine}).Append(nil)
	tr := reconcile(t, now, a, b, func() {})
	wire := tr.bytes + len(first) + tr.messages + 1 // with the lengths of the frames
	if wire > 64 || tr.messages != 2 {
		t.Errorf("equal replicas exchange %d messages of %d bytes", tr.messages, wire)
	}
	t.Logf("equal replicas of %d keys: %d bytes", n, wire)
	for i := range 50 {
		for _, r := range []*Replica{a, b} {
			set(t, now, []Op{{Key: fmt.Sprintf("sensor/%08x/%s", uint32(i)*85899345, r.Self), Value: string(make([]byte, 100))}}, r)
		}
	}
	start := time.Now()
	tr = reconcile(t, now, b, a, func() {})
	if tr.bytes > 150<<10 || tr.messages > 5 {
		t.Errorf("100 differences among %d take %d messages of %d bytes", n, tr.messages, tr.bytes)
	}
	t.Logf("100 differences among %d: %d messages, %d bytes, %v", n, tr.messages, tr.bytes, time.Since(start))
	late := testReplica("c")
	start = time.Now()
	tr = reconcile(t, now, late, a, func() {})
	t.Logf("a late joiner: %d messages, %d bytes, %v", tr.messages, tr.bytes, time.Since(start))
	if late.tree.summarise(span{}) != a.tree.summarise(span{}) || a.tree.len() != n+100 {
		t.Error("the late joiner is not level")
	}
}

func FuzzMessage(f *testing.F) {
	m := Message{Root: &Root{Salt: make([]byte, SaltLength), Sum: Digest{1}, Seen: Digest{2}}}
	f.Add(m.Append(nil))
	m = Message{Seen: SeenSet{"a": {{First: 1, Last: 2}}}, Ranges: []Range{
		{Hi: "abc", Kind: RangeSum, Data: make([]byte, sumLength)}, {Hi: "abd", Kind: RangeDead, Dead: []uint64{1, 5}},
		{Hi: "b"}, {Kind: RangeList, Data: make([]byte, 2*shortLength)},
	}}
	f.Add(m.Append(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		now := Instant{Count: MaxAge, Wall: time.UnixMilli(0)}
		m, err := ParseMessage(data, now.Count)
		if err != nil {
			return
		}
		r := testReplica("a")
		set(t, now, []Op{{Key: "abc", Value: "v"}, {Key: "b", Value: "v"}}, r)
		s := NewReconciliation(r)
		s.salt, s.theirs = make([]byte, SaltLength), SeenSet{}
		if m.Root != nil {
			s.salt = nil
		}
		s.Receive(now, m)
		check(t, r.tree.root)
	})
}
