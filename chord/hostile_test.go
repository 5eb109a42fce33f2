package chord

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/internal/dcbor"
	"github.com/p2p-today/go2p/internal/frame"
	"github.com/p2p-today/go2p/internal/testnet"
	"github.com/p2p-today/go2p/mesh"
)

// Lies are what a member that stores may answer; nil for the truth.
var lies = map[string]func(k circle, q *question, truth *reply) *reply{
	"owns everything": func(_ circle, q *question, truth *reply) *reply {
		if q.kind == askFind {
			truth.owns = true
		}
		return truth
	},
	"redirects for ever": func(k circle, q *question, truth *reply) *reply {
		if q.kind == askFind && truth.kind == sayView {
			truth.owns, truth.next = false, []node{{k.at(q.position, 1<<k-uint64(rand.IntN(100))), string(madeUp())}}
		}
		return truth
	},
	"lists who is not there": func(k circle, q *question, truth *reply) *reply {
		if truth.view != nil {
			v := *truth.view
			for i := range v.succs {
				v.succs[i] = node{k.at(v.self.slot, uint64(i+1)), string(madeUp())}
			}
			truth.view = &v
		}
		return truth
	},
	"absurd versions": func(_ circle, q *question, truth *reply) *reply {
		if truth.kind == sayHeld || truth.kind == sayDone {
			truth.write.version = version{maxCounter, "liar", 1}
			truth.outcome = lower
		}
		return truth
	},
	"stale versions": func(_ circle, q *question, truth *reply) *reply {
		if truth.kind == sayHeld {
			truth.write, truth.value, truth.whole = write{}, "", false
		}
		if truth.kind == sayDone {
			truth.outcome = stored
		}
		return truth
	},
	"another value": func(_ circle, q *question, truth *reply) *reply {
		truth.value += "!"
		return truth
	},
	"keys of others": func(_ circle, q *question, truth *reply) *reply {
		if truth.kind == sayPage {
			for i := range truth.entries {
				truth.entries[i].key = fmt.Sprint("made up ", rand.Int())
			}
		}
		return truth
	},
	"endless pages": func(_ circle, q *question, truth *reply) *reply {
		if truth.kind == sayPage {
			truth.more, truth.start = true, q.sel.start+"x"
		}
		return truth
	},
	"another kind of answer": func(_ circle, q *question, truth *reply) *reply {
		return &reply{kind: sayFailed, text: "no"}
	},
	"not mine": func(_ circle, q *question, truth *reply) *reply {
		if truth.kind == sayHeld || truth.kind == sayDone {
			return &reply{kind: sayFailed, text: "not mine"}
		}
		return truth
	},
	"everybody has many homes": func(_ circle, q *question, truth *reply) *reply {
		truth.homes = copies
		return truth
	},
}

func madeUp() peer.ID { return peer.ID(fmt.Sprint("nobody", rand.Int())) }

// P10: whatever two of fourteen that store answer, the others read and write what is not
// theirs to lie about, and each operation ends.
func TestHostileMembers(t *testing.T) {
	for name, lie := range lies {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, seed uint64) {
				f := newFabric(t, seed)
				var nodes []*Table
				for i := range 14 {
					nodes = append(nodes, f.add(fmt.Sprint("peer", i), 10))
					f.join(nodes[i])
				}
				f.await(time.Minute)
				reader := f.add("reader", 10)
				for _, liar := range nodes[:2] {
					f.lie(liar.id, lie)
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
				reader.mu.Lock()
				defer reader.mu.Unlock()
				if n := len(reader.ring.hints.nodes); n > maxHints {
					t.Errorf("%d hints", n)
				}
				if n := len(reader.ring.lost); n > maxLost {
					t.Errorf("%d are mourned", n)
				}
			})
		})
	}
}

// P10: what is no question ends the stream, and who goes on is outside; the others notice
// nothing.
func TestHostileBytes(t *testing.T) {
	testnet.Run(t, func(t *testing.T, seed uint64) {
		l := newLab(t, seed, 4)
		for i := range 3 {
			l.open(i, nil)
			if i > 0 {
				l.connect(i, 0)
			}
			l.join(i)
		}
		l.settle()
		v := &view{self: node{peer: string(l.Hosts[3].ID())}}
		hello := (&question{kind: askGreet, k: 16, view: v}).append(nil, 1, time.Now())
		million := dcbor.AppendArray(dcbor.AppendUint(dcbor.AppendUint(dcbor.AppendArray(nil, 4), 1), askGreet), 1<<20)
		foreign := (&question{kind: askGreet, k: 16, view: &view{self: node{peer: string(l.Hosts[0].ID())}}}).append(nil, 1, time.Now())
		outside := (&question{kind: askFind, position: 1 << 40}).append(nil, 2, time.Now())
		early := (&question{kind: askFind}).append(nil, 1, time.Now())
		for name, frames := range map[string][][]byte{
			"garbage": {{0xff, 1, 2, 3}}, "a million in a list": {million}, "in the name of another": {foreign},
			"off the circle": {hello, outside}, "before the greeting": {early}, "empty": {{}},
		} {
			m := l.hostile()
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
			for _, p := range l.meshes[0].Peers() {
				if p.ID == l.Hosts[3].ID() {
					t.Errorf("%s: it is still a neighbour", name)
				}
			}
			m.Close()
			time.Sleep(11 * time.Minute) // until it may come again
		}
		m := l.hostile()
		for range 200 {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			if s, err := m.Service("hostile").NewStream(ctx, l.Hosts[0].ID(), Protocol); err == nil {
				s.Write(binary.AppendUvarint(nil, maxMessage)) // and nothing more
			}
			cancel()
		}
		time.Sleep(time.Second)
		l.tables[0].mu.Lock()
		if n := l.tables[0].serving[l.Hosts[3].ID()]; n > maxStreams {
			t.Errorf("%d streams are served", n)
		}
		l.tables[0].mu.Unlock()
		if n := runtime.NumGoroutine(); n > 2000 {
			t.Errorf("%d goroutines", n)
		}
		l.set(1, "x", "y")
		l.has("x", "y", 0, 1, 2)
		m.Close()
	})
}

// hostile makes the last host a member that has no table.
func (l *lab) hostile() *mesh.Mesh {
	l.t.Helper()
	m, err := mesh.Join(l.t.Context(), l.Hosts[3], "lab", nil)
	if err != nil {
		l.t.Fatal(err)
	}
	if err := m.Connect(l.ctx(), l.Info(0)); err != nil {
		l.t.Fatal(err)
	}
	return m
}
