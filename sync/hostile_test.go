package sync

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/internal/frame"
	"github.com/p2p-today/go2p/internal/intervalset"
	"github.com/p2p-today/go2p/internal/meshtest"
	"github.com/p2p-today/go2p/internal/testnet"
	"github.com/p2p-today/go2p/mesh"
	"github.com/p2p-today/go2p/sync/internal/replica"
)

// A hostilePeer is a proper member that does something hostile to the first of the others.
type hostilePeer struct {
	*simNetwork
	mesh   *mesh.Mesh
	topic  *mesh.Topic
	params replica.Params
	n      uint64
}

// batch is records of the hostile peer's, changed by somebody after they were made and
// before they are signed.
func (v *hostilePeer) batch(change func(i int, r *replica.Record), keys ...string) *replica.Batch {
	id := v.mesh.ID().String()
	var entries []*replica.Entry
	for i, key := range keys {
		v.n++
		r := replica.Record{Key: key, Value: "\x01", Owner: id, Term: 1, Dot: replica.Dot{Writer: id + "/1", N: v.n}, Time: time.Now().UnixMilli()}
		change(i, &r)
		entries = append(entries, replica.NewEntry(r))
	}
	b := replica.NewBatch(id+"/1", replica.Digest{byte(v.n)}, entries)
	var err error
	if b.Sig, err = v.mesh.Service("hostile").Sign(batchPurpose, b.ToSign()); err != nil {
		v.t.Fatal(err)
	}
	return b
}

func (v *hostilePeer) gossip(b *replica.Batch) {
	v.topic.Publish(v.Ctx(), b.Append(nil, upTo(len(b.Records())), 0))
	meshtest.Pass(20 * time.Millisecond)
}

// say sends frames on a stream of its own to the victim, and leaves it open.
func (v *hostilePeer) say(frames ...[]byte) network.Stream {
	ctx, cancel := context.WithTimeout(v.Ctx(), time.Second)
	defer cancel()
	s, err := v.mesh.Service("hostile").NewStream(ctx, v.Hosts[0].ID(), Protocol)
	if err != nil {
		return nil // it has been put outside, or may open no more
	}
	s.SetWriteDeadline(time.Now().Add(time.Second))
	for _, f := range frames {
		if _, err := s.Write(frame.Append(nil, f)); err != nil {
			break
		}
	}
	return s
}

// ask begins a session with the victim.
func (v *hostilePeer) ask(more ...replica.Message) network.Stream {
	root := replica.Message{Root: &replica.Root{Salt: make([]byte, replica.SaltLength), Sum: replica.Digest{1}, Seen: replica.Digest{1}}}
	frames := [][]byte{(&replica.Message{Params: &v.params}).Append(nil), root.Append(nil)}
	for _, m := range more {
		frames = append(frames, m.Append(nil))
	}
	return v.say(frames...)
}

func upTo(n int) (list []int) {
	for i := range n {
		list = append(list, i)
	}
	return list
}

func nothing(int, *replica.Record) {}

var attacks = []struct {
	name string
	do   func(v *hostilePeer)
	hits EventKind // what the victim tells of it, if anything
}{
	{name: "a forged owner", do: func(v *hostilePeer) {
		for range 20 {
			v.gossip(v.batch(func(_ int, r *replica.Record) { r.Owner, r.Term = v.Hosts[0].ID().String(), 99 }, "mine"))
		}
	}},
	{name: "forged signatures", do: func(v *hostilePeer) {
		for range 20 {
			b := v.batch(nothing, "a")
			b.Sig[0] ^= 1
			v.gossip(b)
		}
	}},
	{name: "forged proofs", do: func(v *hostilePeer) {
		for range 20 {
			b := v.batch(nothing, "a", "b")
			b.Records()[1].Value = "\x02"
			v.gossip(b)
		}
	}},
	{name: "somebody else's writer", do: func(v *hostilePeer) {
		for range 20 {
			b := v.batch(nothing, "a")
			b.Writer = v.Hosts[1].ID().String() + "/1"
			v.gossip(b)
		}
	}},
	{name: "absurd terms", do: func(v *hostilePeer) {
		for i := range 50 {
			v.gossip(v.batch(func(_ int, r *replica.Record) { r.Term = 1 << 53 }, fmt.Sprint("absurd", i)))
		}
	}},
	{name: "false ages", do: func(v *hostilePeer) {
		for i := range 20 {
			b := v.batch(nothing, fmt.Sprint("old", i))
			v.topic.Publish(v.Ctx(), b.Append(nil, upTo(1), 1<<62))
			meshtest.Pass(20 * time.Millisecond)
		}
	}},
	{name: "numbers that are far away", do: func(v *hostilePeer) {
		for i := range 200 {
			v.n += 1 << 40
			v.gossip(v.batch(nothing, fmt.Sprint("far", i)))
		}
	}},
	{name: "large values that wait for what does not come", do: func(v *hostilePeer) {
		v.n = 1 << 30
		for i := range 60 {
			v.gossip(v.batch(func(_ int, r *replica.Record) {
				r.Value = "\x5a\x00\x0f\x00\x00" + strings.Repeat("x", 0xf0000)
			}, fmt.Sprint("large", i)))
		}
	}},
	{name: "values outside of the data model", do: func(v *hostilePeer) {
		for range 20 {
			v.gossip(v.batch(func(_ int, r *replica.Record) { r.Value = "\xc1\x00" }, "a"))
		}
	}},
	{name: "keys too large", do: func(v *hostilePeer) {
		for range 20 {
			v.gossip(v.batch(func(_ int, r *replica.Record) { r.Key = strings.Repeat("k", MaxKey+1) }, "a"))
		}
	}},
	{name: "noise", do: func(v *hostilePeer) {
		for i := range 20 {
			v.say(bytes.Repeat([]byte{byte(i)}, 1000))
		}
	}},
	{name: "frames that never end", do: func(v *hostilePeer) {
		for range 30 {
			if s := v.say(); s != nil {
				s.Write([]byte{0xff, 0xff, 0xff, 0x7f, 1, 2, 3})
			}
		}
	}},
	{name: "a thousand streams", do: func(v *hostilePeer) {
		for range 1000 {
			v.say()
		}
	}},
	{name: "sessions that say nothing more", do: func(v *hostilePeer) {
		for range 100 {
			v.ask()
		}
	}},
	{name: "a seen set that has everything", do: func(v *hostilePeer) {
		for range 20 {
			s := replica.SeenSet{}
			for _, d := range v.dicts {
				if d != nil {
					s[d.pipeline.replica.Writer] = intervalset.Set{{First: 1, Last: 1 << 60}}
				}
			}
			v.ask(replica.Message{Seen: s, Ranges: []replica.Range{{Kind: replica.RangeList}}})
			meshtest.Pass(50 * time.Millisecond)
		}
	}, hits: EventClash},
	{name: "a false seen set", do: func(v *hostilePeer) {
		for range 20 {
			s := replica.SeenSet{v.dicts[0].pipeline.replica.Writer: {{First: 1, Last: v.dicts[0].pipeline.replica.Next(v.dicts[0].pipeline.replica.Writer) - 1}}}
			v.ask(replica.Message{Seen: s, Ranges: []replica.Range{{Kind: replica.RangeList}}})
			meshtest.Pass(50 * time.Millisecond)
		}
	}, hits: EventLost},
	{name: "a seen set of very many writers", do: func(v *hostilePeer) {
		s := replica.SeenSet{}
		for i := range 1 << 16 {
			s[fmt.Sprintf("%030d", i)] = intervalset.Set{{First: 1, Last: 1}}
		}
		for range 5 {
			v.ask(replica.Message{Seen: s, Ranges: []replica.Range{{Kind: replica.RangeList}}})
		}
	}},
	{name: "comparing for ever", do: func(v *hostilePeer) {
		for range 3 {
			sums := replica.Message{Ranges: []replica.Range{{Kind: replica.RangeSum, Data: make([]byte, 8)}}}
			first := sums
			first.Seen = replica.SeenSet{}
			list := []replica.Message{first}
			for range 200 {
				list = append(list, sums)
			}
			v.ask(list...)
		}
	}},
	{name: "the same records again and again", do: func(v *hostilePeer) {
		var keys []string
		for i := range 100 {
			keys = append(keys, fmt.Sprint("again", i))
		}
		b := v.batch(func(_ int, r *replica.Record) { r.Value = "\x59\x10\x00" + strings.Repeat("x", 0x1000) }, keys...)
		records, _ := replica.AppendChunk([]replica.Group{{Batch: b, Places: upTo(100)}}, 0)
		root := replica.Message{Root: &replica.Root{Salt: make([]byte, replica.SaltLength), Sum: replica.Digest{1}, Seen: replica.Digest{1}}}
		frames := [][]byte{(&replica.Message{Params: &v.params}).Append(nil), root.Append(nil)}
		for range 300 {
			frames = append(frames, records)
		}
		v.say(frames...)
	}},
	{name: "questions for what never comes", do: func(v *hostilePeer) {
		for range 200 {
			v.say((&replica.Message{Ask: &replica.Dot{Writer: "nobody/1", N: 1 << 50}}).Append(nil))
		}
	}},
}

// P10: whatever a member sends, the others go on, in memory that stays bounded.
func TestHostile_OthersGoOnInBoundedMemory(t *testing.T) {
	for _, c := range attacks {
		t.Run(c.name, func(t *testing.T) {
			testnet.Run(t, func(t *testing.T, seed uint64) {
				l := newSimNetwork(t, seed, 3)
				l.open(0, nil)
				l.open(1, nil)
				l.Connect(0, 1)
				m, err := mesh.Join(l.Ctx(), l.Hosts[2], "lab", nil)
				if err != nil {
					t.Fatal(err)
				}
				defer m.Close()
				v := &hostilePeer{simNetwork: l, mesh: m, params: l.dicts[0].pipeline.replica.Params()}
				v.topic, err = m.Service("hostile").JoinTopic(v.params.Topic(), func(_ peer.ID, _ []byte) mesh.Verdict { return mesh.Pass }, func(peer.ID) {})
				if err != nil {
					t.Fatal(err)
				}
				for i := range 2 {
					if err := m.Connect(l.Ctx(), l.Info(i)); err != nil {
						t.Fatal(err)
					}
				}
				meshtest.Pass(3 * time.Second)
				l.set(0, "mine", "kept", Acks(1))
				before, routines := heap(), runtime.NumGoroutine()
				c.do(v)
				meshtest.Pass(10 * time.Second)
				for i := range 2 {
					key := fmt.Sprint("from", i)
					l.set(i, key, i)
					meshtest.Pass(2 * time.Second)
					l.has(key, int64(i), 0, 1)
				}
				l.has("mine", "kept", 0, 1)
				if c.hits != "" && !l.emitted(0, c.hits) {
					t.Errorf("it did not hit: %v", l.events[0])
				}
				if held, err := l.dicts[1].Lease("mine"); err != nil || held.Owner != l.Hosts[0].ID().String() {
					t.Errorf("the lease is %v, %v", held, err)
				}
				if grown := heap() - before; grown > 64<<20 {
					t.Errorf("the heap has grown by %d bytes", grown)
				}
				if n := runtime.NumGoroutine(); n > routines+200 {
					t.Errorf("%d goroutines, %d before", n, routines)
				}
			})
		})
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
