package chord

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/internal/dcbor"
	"github.com/p2p-today/go2p/internal/frame"
	"github.com/p2p-today/go2p/internal/testnet"
	"github.com/p2p-today/go2p/mesh"

	"github.com/p2p-today/go2p/chord/internal/home"
	"github.com/p2p-today/go2p/chord/internal/ring"
	"github.com/p2p-today/go2p/chord/internal/wire"
)

// Lies are what a member that stores may answer; nil for the truth.
var lies = map[string]func(k ring.Circle, q *wire.Question, truth *wire.Reply) *wire.Reply{
	"owns everything": func(_ ring.Circle, q *wire.Question, truth *wire.Reply) *wire.Reply {
		if q.Kind == wire.AskFind {
			truth.Owns = true
		}
		return truth
	},
	"redirects for ever": func(k ring.Circle, q *wire.Question, truth *wire.Reply) *wire.Reply {
		if q.Kind == wire.AskFind && truth.Kind == wire.SayView {
			truth.Owns, truth.Next = false, []ring.Node{{Slot: k.At(q.Position, 1<<k-uint64(rand.IntN(100))), Peer: string(madeUp())}}
		}
		return truth
	},
	"lists who is not there": func(k ring.Circle, q *wire.Question, truth *wire.Reply) *wire.Reply {
		if truth.View != nil {
			v := *truth.View
			for i := range v.Succs {
				v.Succs[i] = ring.Node{Slot: k.At(v.Self.Slot, uint64(i+1)), Peer: string(madeUp())}
			}
			truth.View = &v
		}
		return truth
	},
	"absurd versions": func(_ ring.Circle, q *wire.Question, truth *wire.Reply) *wire.Reply {
		if truth.Kind == wire.SayVersion || truth.Kind == wire.SayOutcome {
			truth.Write.Version = home.Version{Counter: home.MaxCounter, Writer: "liar", Hash: 1}
			truth.Outcome = home.Lower
		}
		return truth
	},
	"stale versions": func(_ ring.Circle, q *wire.Question, truth *wire.Reply) *wire.Reply {
		if truth.Kind == wire.SayVersion {
			truth.Write, truth.Value, truth.Whole = home.Write{}, "", false
		}
		if truth.Kind == wire.SayOutcome {
			truth.Outcome = home.Stored
		}
		return truth
	},
	"another value": func(_ ring.Circle, q *wire.Question, truth *wire.Reply) *wire.Reply {
		truth.Value += "!"
		return truth
	},
	"keys of others": func(_ ring.Circle, q *wire.Question, truth *wire.Reply) *wire.Reply {
		if truth.Kind == wire.SayPage {
			for i := range truth.Entries {
				truth.Entries[i].Key = fmt.Sprint("made up ", rand.Int())
			}
		}
		return truth
	},
	"endless pages": func(_ ring.Circle, q *wire.Question, truth *wire.Reply) *wire.Reply {
		if truth.Kind == wire.SayPage {
			truth.More, truth.Start = true, q.Selection.Start+"x"
		}
		return truth
	},
	"another kind of answer": func(_ ring.Circle, q *wire.Question, truth *wire.Reply) *wire.Reply {
		return &wire.Reply{Kind: wire.SayFailed, Text: "no"}
	},
	"not mine": func(_ ring.Circle, q *wire.Question, truth *wire.Reply) *wire.Reply {
		if truth.Kind == wire.SayVersion || truth.Kind == wire.SayOutcome {
			return &wire.Reply{Kind: wire.SayFailed, Text: "not mine"}
		}
		return truth
	},
	"everybody has many homes": func(_ ring.Circle, q *wire.Question, truth *wire.Reply) *wire.Reply {
		truth.Replicas = ring.Copies
		return truth
	},
}

func madeUp() peer.ID { return peer.ID(fmt.Sprint("nobody", rand.Int())) }

// P10: whatever two of fourteen that store answer, the others read and write what is not
// theirs to lie about, and each operation ends.
func TestTable_LyingMembersHarmNoOthers(t *testing.T) {
	for name, lie := range lies {
		t.Run(name, func(t *testing.T) {
			inSimulation(t, func(t *testing.T, seed uint64) {
				f := newSimNetwork(t, seed)
				var nodes []*Table
				for i := range 14 {
					nodes = append(nodes, f.add(fmt.Sprint("peer", i), 10))
					f.join(nodes[i])
				}
				f.awaitWhole(time.Minute)
				reader := f.add("reader", 10)
				for _, liar := range nodes[:2] {
					f.lie(liar.node.id, lie)
				}
				time.Sleep(2 * time.Minute) // some lies end outside at once
				honest := append(nodes[2:], reader)
				ctx := context.Background()
				for i := range 40 {
					key := fmt.Sprint("key", i)
					if err := honest[f.rand(len(honest))].Set(ctx, key, int64(i)); err != nil {
						t.Errorf("set: %v", err)
					}
					if v, err := honest[f.rand(len(honest))].Get(ctx, key); err != nil || v != int64(i) {
						t.Errorf("get: %v, %v; want %d", v, err, i)
					}
					if err := honest[f.rand(len(honest))].ApplyDelta(ctx, "map"+key, map[string]any{"a": i}); err != nil {
						t.Errorf("delta: %v", err)
					}
				}
				short, cancel := context.WithTimeout(ctx, time.Minute)
				defer cancel()
				seen := 0
				for _, err := range reader.Keys(short) {
					if seen++; err != nil && !errors.Is(err, context.DeadlineExceeded) || seen > 1<<20 {
						t.Errorf("keys: %v after %d", err, seen)
						break
					}
				}
				late := f.add("late", 10)
				f.join(late)
				if _, err := late.Ring(ctx); err != nil {
					t.Errorf("ring: %v", err)
				}
				reader.node.mu.Lock()
				defer reader.node.mu.Unlock()
				if n := len(reader.node.ring.Known()); n > ring.MaxCached {
					t.Errorf("%d hints", n)
				}
			})
		})
	}
}

// P10: what is no question ends the stream, and who goes on is outside; the others notice
// nothing.
func TestStream_HostileBytesEndIt(t *testing.T) {
	testnet.Run(t, func(t *testing.T, seed uint64) {
		l := newLab(t, seed, 4)
		for i := range 3 {
			l.open(i, nil)
			if i > 0 {
				l.Connect(i, 0)
			}
			l.joinRing(i)
		}
		l.settle()
		v := &ring.View{Self: ring.Node{Peer: string(l.Hosts[3].ID())}}
		hello := (&wire.Question{Kind: wire.AskGreet, K: 16, View: v}).Append(nil, 1, time.Now())
		million := dcbor.AppendArray(dcbor.AppendUint(dcbor.AppendUint(dcbor.AppendArray(nil, 4), 1), wire.AskGreet), 1<<20)
		foreign := (&wire.Question{Kind: wire.AskGreet, K: 16, View: &ring.View{Self: ring.Node{Peer: string(l.Hosts[0].ID())}}}).Append(nil, 1, time.Now())
		outside := (&wire.Question{Kind: wire.AskFind, Position: 1 << 40}).Append(nil, 2, time.Now())
		early := (&wire.Question{Kind: wire.AskFind}).Append(nil, 1, time.Now())
		for name, frames := range map[string][][]byte{
			"garbage": {{0xff, 1, 2, 3}}, "a million in a list": {million}, "in the name of another": {foreign},
			"off the circle": {hello, outside}, "before the greeting": {early}, "empty": {{}},
		} {
			m := l.hostilePeer()
			for range 12 {
				ctx, cancel := context.WithTimeout(context.Background(), time.Second)
				s, err := m.Service("hostile").NewStream(ctx, l.Hosts[0].ID(), Protocol)
				cancel()
				if err != nil {
					break // it is outside
				}
				for _, body := range frames {
					frame.Write(s, body)
				}
				s.SetReadDeadline(time.Now().Add(2 * time.Second))
				buf := make([]byte, 1<<16)
				for err == nil {
					_, err = s.Read(buf)
				}
				s.Reset()
			}
			time.Sleep(time.Second)
			for _, p := range l.Meshes[0].Peers() {
				if p.ID == l.Hosts[3].ID() {
					t.Errorf("%s: it is still a neighbour", name)
				}
			}
			m.Close()
			time.Sleep(11 * time.Minute) // until it may come again
		}
		m := l.hostilePeer()
		for range 200 {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			if s, err := m.Service("hostile").NewStream(ctx, l.Hosts[0].ID(), Protocol); err == nil {
				s.Write(binary.AppendUvarint(nil, wire.MaxMessage)) // and nothing more
			}
			cancel()
		}
		time.Sleep(time.Second)
		served := 0
		for _, c := range l.Hosts[0].Network().ConnsToPeer(l.Hosts[3].ID()) {
			for _, s := range c.GetStreams() {
				if strings.Contains(string(s.Protocol()), "chord") {
					served++
				}
			}
		}
		if served == 0 || served > maxStreams {
			t.Errorf("%d streams are served", served)
		}
		if n := runtime.NumGoroutine(); n > 2000 {
			t.Errorf("%d goroutines", n)
		}
		l.set(1, "x", "y")
		l.has("x", "y", 0, 1, 2)
		m.Close()
	})
}

// hostile makes the last host a member that has no table.
func (l *lab) hostilePeer() *mesh.Mesh {
	l.t.Helper()
	m := l.Join(3, "lab", nil)
	l.Connect(3, 0)
	return m
}
