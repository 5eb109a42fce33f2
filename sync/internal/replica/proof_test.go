package replica

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/p2p-today/go2p/internal/dcbor"
	"github.com/p2p-today/go2p/internal/intervalset"
)

// batchOf is a batch of n records.
func batchOf(n int) *Batch {
	var entries []*Entry
	for i := range n {
		e := &Entry{Record: Record{
			Key: fmt.Sprint("key", i), Value: "value", Owner: "a", Term: 1, Dot: Dot{Writer: "a/1", N: uint64(i) + 1}, Time: 1 << 40,
		}}
		if i%5 == 4 {
			e.Over = Dot{Writer: "b/1", N: 7}
		}
		e.hash = e.Record.hash()
		entries = append(entries, e)
	}
	b := NewBatch("a/1", Digest{1, 2, 3}, entries)
	b.Sig = bytes.Repeat([]byte{7}, 64)
	return b
}

func sent(b *Batch, places []int, now time.Duration) []byte { return b.Append(nil, places, now) }

func received(data []byte, now time.Duration) (*Batch, error) {
	s := dcbor.Scan(data)
	b, err := scanBatch(&s, now)
	if err == nil {
		err = s.End()
	}
	return b, err
}

// Whatever has died, and whatever part of the rest travels, over any number of
// replicas: the root is the one that was signed.
func TestBatch_AnyPartIsProven(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := batchOf(rapid.IntRange(1, maxBatch).Draw(t, "records"))
		signed := b.ToSign()
		for hop := range 3 {
			var here []int
			for i, e := range b.leaves {
				if e == nil {
					continue
				}
				if rapid.Bool().Draw(t, "dies") && b.alive > 1 {
					b.drop(e)
				} else if rapid.IntRange(0, 3).Draw(t, "travels") > 0 {
					here = append(here, i)
				}
			}
			if got := b.ToSign(); !bytes.Equal(got, signed) {
				t.Fatalf("after deaths the root is another: %x, not %x", got, signed)
			}
			if len(here) == 0 {
				return
			}
			data := sent(b, here, time.Hour)
			next, err := received(data, 0)
			if err != nil {
				t.Fatal(err)
			}
			if got := next.ToSign(); !bytes.Equal(got, signed) || !bytes.Equal(next.Sig, b.Sig) {
				t.Fatalf("after hop %d the root is another", hop)
			}
			var there []int
			for i, e := range next.leaves {
				if e != nil {
					there = append(there, i)
				}
			}
			if !slices.Equal(here, there) || next.alive != len(there) {
				t.Fatalf("%v arrived of %v", there, here)
			}
			if again := sent(next, there, time.Hour-0); hop == 0 && len(again) != len(data) {
				t.Fatalf("it is sent on in %d bytes, not %d", len(again), len(data))
			}
			b = next
		}
	})
}

// Of what is changed on the way the root is another.
func TestBatch_ForgedRecordChangesRoot(t *testing.T) {
	b := batchOf(10)
	signed := b.ToSign()
	forged, err := received(sent(b, []int{3, 4}, 0), 0)
	if err != nil {
		t.Fatal(err)
	}
	forged.leaves[4].Value = "another"
	forged.leaves[4].hash = forged.leaves[4].Record.hash()
	if bytes.Equal(forged.ToSign(), signed) {
		t.Error("the root is the same")
	}
}

// What a proof costs: nearly nothing while all of a batch live.
func TestBatch_ProofIsSmall(t *testing.T) {
	for _, c := range []struct{ one, most float64 }{{1, 1}, {2, 16}, {10, 60}} { // one of so many lives
		b := batchOf(maxBatch)
		var here []int
		records := 0
		for i, e := range b.leaves {
			if i%int(c.one) == 0 {
				here = append(here, i)
				records += len(e.Record.append(nil, namesOf(e.Dot.Writer)))
			} else {
				b.drop(e)
			}
		}
		proof := float64(len(sent(b, here, 0))-records)/float64(len(here)) - 6 // place and age
		if proof > c.most {
			t.Errorf("with one of %v alive a record takes %.1f bytes of proof", c.one, proof)
		}
		if memory := float64(len(b.absent)*len(Digest{})) / float64(len(here)); memory > c.most {
			t.Errorf("with one of %v alive %.1f bytes of hashes are kept a record", c.one, memory)
		}
	}
}

// A batch keeps no more of its records than the replica does.
func TestBatch_KeepsNoMoreThanReplica(t *testing.T) {
	now := Instant{Count: time.Minute, Wall: time.UnixMilli(0)}
	a, b := testReplica("a"), testReplica("b")
	set(t, now, []Op{{Key: "k", Value: "v"}, {Key: "l", Value: "v"}}, a, b)
	entries, err := a.plan(now, []Op{{Key: "m", Value: "v"}, {Key: "k", Delete: true}})
	if err != nil {
		t.Fatal(err)
	}
	NewBatch(a.Writer, Digest{9}, entries).Sig = make([]byte, 64)
	data := entries[0].batch.Append(nil, []int{0, 1}, now.Count)
	for i, want := range []int{1, 0} { // it comes twice
		again, err := received(data, now.Count)
		if err != nil {
			t.Fatal(err)
		}
		if b.Receive(now, again.leaves); again.alive != want {
			t.Errorf("time %d: %d of 2 records are kept, not %d", i+1, again.alive, want)
		}
	}
}

// Leases go on where the sender's count says that they are.
func TestBatch_AgesTravel(t *testing.T) {
	b := batchOf(1)
	b.leaves[0].renewed = 10 * time.Minute
	there, err := received(sent(b, []int{0}, 25*time.Minute), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if got := there.leaves[0].renewed; got != 45*time.Minute {
		t.Errorf("renewed at %v of the receiver's count, not 45m", got)
	}
}

func FuzzBatch(f *testing.F) {
	b := batchOf(9)
	f.Add(sent(b, []int{0, 1, 2, 3, 4, 5, 6, 7, 8}, 0))
	b.drop(b.leaves[3])
	f.Add(sent(b, []int{1, 4}, time.Minute))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := received(data, MaxAge)
		if err != nil {
			return
		}
		var places []int
		for i, e := range b.leaves {
			if e != nil {
				places = append(places, i)
			}
		}
		again, err := received(sent(b, places, MaxAge), MaxAge)
		if err != nil || !bytes.Equal(again.ToSign(), b.ToSign()) {
			t.Fatalf("%x came back as another batch: %v", data, err)
		}
	})
}

func FuzzSeen(f *testing.F) {
	s := SeenSet{"a/1": {{First: 1, Last: 5}, {First: 7, Last: 7}}, "b/1": {{First: 1, Last: 1 << 40}}}
	f.Add(s.append(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		sc := dcbor.Scan(data)
		s, err := scanSeen(&sc)
		if err != nil || sc.End() != nil {
			return
		}
		if again := s.append(nil); !bytes.Equal(again, data) {
			t.Fatalf("%x came back as %x", data, again)
		}
		for _, set := range s {
			var clone intervalset.Set
			for _, v := range slices.Backward(set) {
				clone.Add(v.First, v.Last)
			}
			if !slices.Equal(clone, set) {
				t.Fatalf("%v was joined to %v", set, clone)
			}
		}
	})
}
