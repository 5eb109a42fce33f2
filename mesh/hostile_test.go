package mesh

import (
	"context"
	"encoding/binary"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/p2p-today/go2p/internal/dcbor"
	"github.com/p2p-today/go2p/internal/frame"
	"github.com/p2p-today/go2p/internal/testnet"
	"github.com/p2p-today/go2p/mesh/internal/batch"
	"github.com/p2p-today/go2p/mesh/internal/peerlimit"
	"github.com/p2p-today/go2p/mesh/internal/repair"
)

// A hostilePeer is a proper member that does something hostile to the first of the other
// members.
type hostilePeer struct {
	*testing.T
	*Mesh
	victim peer.ID
	others []*Mesh
}

// stream opens a stream of the network to the victim.
func (v *hostilePeer) stream(id protocol.ID) network.Stream {
	ctx, cancel := context.WithTimeout(v.ctx(), time.Second)
	defer cancel()
	s, err := v.members.newStream(ctx, v.victim, id)
	if err != nil {
		return nil // it has been put outside, or may open no more
	}
	return s
}

// say writes bytes on a stream of its own, and leaves it open.
func (v *hostilePeer) say(id protocol.ID, data []byte) {
	if s := v.stream(id); s != nil {
		s.SetWriteDeadline(time.Now().Add(time.Second))
		s.Write(data)
	}
}

// sendControl says link messages on one stream.
func (v *hostilePeer) sendControl(msgs ...controlMessage) {
	var data []byte
	for _, msg := range msgs {
		body, err := dcbor.Marshal(msg)
		if err != nil {
			v.Fatal(err)
		}
		data = frame.Append(data, body)
	}
	v.say(ControlProtocol, data)
}

// gossip is an RPC of pubsub's with the batches: in protobuf a list of messages, each
// with its data and topic.
func (v *hostilePeer) gossip(batches ...[]byte) []byte {
	const publish, data, topic = 2<<3 | 2, 2<<3 | 2, 4<<3 | 2
	var rpc []byte
	for _, b := range batches {
		msg := frame.Append([]byte{data}, b)
		msg = frame.Append(append(msg, topic), []byte(v.broadcaster.topic.name))
		rpc = frame.Append(append(rpc, publish), msg)
	}
	return frame.Append(nil, rpc)
}

// sealed is a batch of its own.
func (v *hostilePeer) sealed(seq uint64, count, size int) []byte {
	messages := make([]batch.Message, count)
	for i := range messages {
		packet, err := dcbor.Marshal([]any{make([]byte, size)})
		if err != nil {
			v.Fatal(err)
		}
		messages[i] = batch.Message{Time: time.Now().UnixMilli(), Packets: packet}
	}
	data, err := v.broadcaster.seal(seq, messages)
	if err != nil {
		v.Fatal(err)
	}
	return data
}

// lower lowers a budget for this test, so that it is spent soon.
func (v *hostilePeer) lower(d peerlimit.Violation, most int64) {
	for _, m := range append(v.others, v.Mesh) {
		m.bans.mu.Lock()
		m.bans.limits.Budgets[d].Most = most
		m.bans.mu.Unlock()
	}
}

// attacks are what hostile members do, each time it is called once, and whether
// it puts them outside.
var attacks = map[string]struct {
	outside bool
	prepare func(v *hostilePeer)
	act     func(v *hostilePeer, i int)
}{
	"flood of broadcasts": {true, func(v *hostilePeer) { v.lower(peerlimit.Authored, 20_000) }, func(v *hostilePeer, i int) {
		for k := range 100 {
			v.broadcaster.topic.Publish(v.ctx(), v.sealed(uint64(100*i+k)*20+1, 20, 10))
		}
	}},
	"flood of bytes": {true, func(v *hostilePeer) { v.lower(peerlimit.AuthoredBytes, 20<<20) }, func(v *hostilePeer, i int) {
		for k := range 10 {
			seq := uint64(10*i+k) + 1
			v.sendControl(controlMessage{Kind: controlPush, Batches: []agedData{{Data: v.sealed(seq, 1, 500_000)}}})
		}
	}},
	"flood of link messages": {true, func(v *hostilePeer) { v.lower(peerlimit.ControlFrame, 5000) }, func(v *hostilePeer, i int) {
		v.sendControl(make([]controlMessage, 1000)...)
	}},
	"replayed broadcasts": {true, func(v *hostilePeer) { v.lower(peerlimit.UselessBytes, 400<<10) }, func(v *hostilePeer, i int) {
		b := v.sealed(1, 1, 3000)
		v.say(gossipProtocol, v.gossip(b, b, b, b, b, b, b, b, b, b))
		v.sendControl(controlMessage{Kind: controlPush, Batches: []agedData{{Data: b}, {Data: b}}},
			controlMessage{Kind: controlBatches, Range: &wireRange{Author: []byte(v.id), Boot: v.boot, Intervals: []uint64{1, 1}}, Batches: []agedData{{Data: b}}})
	}},
	"wrongly signed broadcasts": {true, nil, func(v *hostilePeer, i int) {
		b := v.sealed(uint64(i)+1, 1, 10)
		b[len(b)-1] ^= 1
		v.sendControl(controlMessage{Kind: controlPush, Batches: []agedData{{Data: b}}})
	}},
	"broadcasts that are no batches": {true, nil, func(v *hostilePeer, i int) {
		v.broadcaster.topic.Publish(v.ctx(), fmt.Append(nil, "nonsense ", i))
	}},
	"oversized frames": {true, nil, func(v *hostilePeer, i int) {
		huge := binary.AppendUvarint(nil, 1<<40)
		v.say(ControlProtocol, huge)
		v.say(WhisperProtocol, huge)
		v.say(gossipProtocol, huge)
	}},
	"frames that do not decode": {true, nil, func(v *hostilePeer, i int) {
		v.say(ControlProtocol, frame.Append(nil, []byte{0xff}))
		v.say(WhisperProtocol, frame.Append(nil, []byte{0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}))
		v.say(gossipProtocol, frame.Append(nil, []byte{0xff}))
	}},
	"truncated frames": {false, nil, func(v *hostilePeer, i int) {
		for _, id := range []protocol.ID{ControlProtocol, WhisperProtocol, gossipProtocol} {
			if s := v.stream(id); s != nil {
				s.Write([]byte{100, 1, 2, 3})
				s.Close()
			}
		}
	}},
	"false heads": {false, nil, func(v *hostilePeer, i int) {
		msg := controlMessage{Kind: controlHave}
		for k := range repair.MaxHaves {
			msg.Haves = append(msg.Haves, wireHave{Author: []byte(v.id), Boot: uint64(i*repair.MaxHaves + k), Low: 1, High: 1 << 50, Urgent: true})
		}
		for _, m := range v.others {
			msg.Haves[0] = wireHave{Author: []byte(m.id), Boot: m.boot, Low: 1, High: 1 << 50, Urgent: true}
			v.sendControl(msg)
		}
	}},
	"a thousand streams": {true, nil, func(v *hostilePeer, i int) {
		for range 20 {
			v.say(ControlProtocol, nil)
			v.say(WhisperProtocol, nil)
			v.say(gossipProtocol, nil)
		}
	}},
	"half-open streams": {true, nil, func(v *hostilePeer, i int) {
		for range 20 {
			v.say(ControlProtocol, []byte{50, 1})
			v.say(WhisperProtocol, []byte{50, 1})
			v.say(gossipProtocol, []byte{50, 1})
		}
	}},
	"questions that have no answer": {false, nil, func(v *hostilePeer, i int) {
		var msgs []controlMessage
		for k := range uint64(200) {
			msgs = append(msgs, controlMessage{Kind: controlAckQuery, Nonce: k, Range: &wireRange{Author: []byte(v.id), Boot: v.boot, Intervals: []uint64{1, 1 << 60}}})
		}
		v.sendControl(msgs...)
	}},
	"fetches that are not read": {false, nil, func(v *hostilePeer, i int) {
		v.members.get(v.victim).control.Store(nil)
		var msgs []controlMessage
		for range 100 {
			msgs = append(msgs, controlMessage{Kind: controlFetch, Range: &wireRange{Author: []byte(v.victim), Boot: v.others[0].boot, Intervals: []uint64{1, 1 << 60}}})
		}
		v.sendControl(msgs...)
	}},
	"never reading": {false, func(v *hostilePeer) {
		idle := func(s network.Stream) { <-v.ctx().Done() }
		v.handlers.set(ControlProtocol, idle)
		v.handlers.set(WhisperProtocol, idle)
		v.handlers.set(gossipProtocol, idle)
		v.members.resetStreams(v.host.Network().ConnsToPeer(v.victim)[0])
	}, func(v *hostilePeer, i int) { v.sendControl(controlMessage{Kind: controlPing, Nonce: 1}) }},
}

// P10: whatever a member does, the others go on as if nothing were, within bounded
// memory, and who offends ends outside.
func TestHostileMembers(t *testing.T) {
	for name, what := range attacks {
		t.Run(name, func(t *testing.T) {
			testnet.Run(t, func(t *testing.T, seed uint64) {
				w := testnet.New(t, seed, 4)
				var ms []*Mesh
				for i := range w.Hosts {
					ms = append(ms, mustJoin(t, w.Hosts[i]))
					for j := range i {
						if err := ms[i].Connect(t.Context(), w.Info(j)); err != nil {
							t.Fatal(err)
						}
					}
				}
				pass(3 * time.Second)
				v := &hostilePeer{t, ms[3], ms[0].id, ms[:3]}
				if what.prepare != nil {
					what.prepare(v)
				}
				honest := &conversation{T: t, ms: ms[:3]}
				honest.round()
				const acts = 30
				var middle uint64
				for i := range acts {
					what.act(v, i)
					pass(100 * time.Millisecond)
					honest.round()
					if i == acts/2 {
						middle = heap()
					}
				}
				if grown := int64(heap() - middle); grown > 8<<20 {
					t.Errorf("the memory grew by %d bytes", grown)
				}
				pass(time.Second)
				if got := !ms[0].members.has(v.id); got != what.outside {
					t.Errorf("put outside: %v, %v", got, ms[0].Status().Errors)
				}
				honest.check()
			})
		})
	}
}

// heap is how much memory is in use.
func heap() uint64 {
	var s runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}

// A conversation is what honest members do meanwhile.
type conversation struct {
	*testing.T
	ms     []*Mesh
	rounds uint64
}

// round lets each of them broadcast something small and something large, and whisper.
// All of it is there within ten seconds, which are to be enough for a liar to be found
// out.
func (c *conversation) round() {
	c.Helper()
	c.rounds++
	for i, m := range c.ms {
		for _, size := range []int{10, 10_000} {
			r, err := m.Broadcast(c.Context(), make([]byte, size))
			if err != nil {
				c.Fatal(err)
			}
			defer func() {
				ctx, cancel := context.WithTimeout(c.Context(), 10*time.Second)
				defer cancel()
				for !c.has(r, m) && ctx.Err() == nil {
					time.Sleep(10 * time.Millisecond)
				}
				if ctx.Err() != nil {
					c.Errorf("round %d: a broadcast of %d bytes is not everywhere after ten seconds", c.rounds, size)
				}
			}()
		}
		if err := m.Whisper(c.Context(), c.ms[(i+1)%len(c.ms)].id, "psst"); err != nil {
			c.Errorf("round %d: %v", c.rounds, err)
		}
	}
}

// has tells whether all honest members have a broadcast of m.
func (c *conversation) has(r Receipt, m *Mesh) bool {
	for _, o := range c.ms {
		if !o.broadcaster.repairer.has(m.ownRun(), repair.Interval{First: r.seq, Last: r.seq}) {
			return false
		}
	}
	return true
}

// check checks that everybody still has everybody and handled all of the others once.
func (c *conversation) check() {
	c.Helper()
	others := uint64(len(c.ms) - 1)
	for i, m := range c.ms {
		for _, o := range c.ms {
			if o != m && !m.members.has(o.id) {
				c.Errorf("%d has lost an honest neighbour", i)
			}
		}
		s := m.Status()
		if s.ReceivedWhispers != c.rounds || s.LostBroadcasts != 0 {
			c.Errorf("%d got %d whispers of %d, and lost %d broadcasts", i, s.ReceivedWhispers, c.rounds, s.LostBroadcasts)
		}
		for _, o := range c.ms {
			if !m.broadcaster.repairer.has(o.ownRun(), repair.Interval{First: 1, Last: 2 * c.rounds}) {
				c.Errorf("%d lacks broadcasts of the honest, who have %d others", i, others)
			}
		}
	}
}
