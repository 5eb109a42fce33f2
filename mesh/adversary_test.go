package mesh

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/p2p-today/go2p/internal/dcbor"
	"github.com/p2p-today/go2p/internal/frame"
	"github.com/p2p-today/go2p/internal/testnet"
	"github.com/p2p-today/go2p/mesh/internal/batch"
	"github.com/p2p-today/go2p/mesh/internal/netkey"
	"github.com/p2p-today/go2p/mesh/internal/peerlimit"
)

// arena has meshes on the first hosts and leaves the last to an adversary.
func arena(t *testing.T, seed uint64, meshes int) (*testnet.Net, []*Mesh, host.Host) {
	t.Helper()
	w := testnet.New(t, seed, meshes+1)
	ms := make([]*Mesh, meshes)
	for i := range ms {
		ms[i] = mustJoin(t, w.Hosts[i])
	}
	return w, ms, w.Hosts[meshes]
}

func mustJoin(t *testing.T, h host.Host) *Mesh {
	t.Helper()
	m, err := Join(t.Context(), h, "lab", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// An outsider that speaks floodsub and knows the name of the topic.
func TestFloodsubOutsiderLearnsNothing(t *testing.T) {
	testnet.Run(t, func(t *testing.T, seed uint64) {
		w, ms, outsider := arena(t, seed, 2)
		ps, err := pubsub.NewFloodSub(t.Context(), outsider)
		if err != nil {
			t.Fatal(err)
		}
		topic, err := ps.Join("/go2p/" + ms[0].tag + "/mesh")
		if err != nil {
			t.Fatal(err)
		}
		sub, err := topic.Subscribe()
		if err != nil {
			t.Fatal(err)
		}
		if err := outsider.Connect(t.Context(), w.Info(0)); err != nil {
			t.Fatal(err)
		}
		if err := ms[0].Connect(t.Context(), w.Info(1)); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		if got := ps.ListPeers(topic.String()); len(got) != 0 {
			t.Errorf("its pubsub knows %v", got)
		}
		protocols, err := outsider.Peerstore().GetProtocols(w.Hosts[0].ID())
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range protocols {
			if strings.Contains(string(p), ms[0].tag) {
				t.Errorf("identify shows %s", p)
			}
		}
		if _, err := ms[0].Broadcast(t.Context(), "private"); err != nil {
			t.Fatal(err)
		}
		if err := topic.Publish(t.Context(), []byte("from outside")); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for { // its own message comes first
			msg, err := sub.Next(ctx)
			if err != nil {
				break
			}
			if msg.ReceivedFrom != outsider.ID() {
				t.Errorf("it received %q", msg.Data)
			}
		}
		if s := ms[0].Status(); s.ReceivedBroadcasts != 0 || s.BadSignatures != 0 {
			t.Errorf("it got through: %+v", s)
		}
	})
}

// A peer that skips the hello and knows the names of the network's streams.
func TestSkippingTheHelloLeadsNowhere(t *testing.T) {
	testnet.Run(t, func(t *testing.T, seed uint64) {
		w, ms, outsider := arena(t, seed, 1)
		if err := outsider.Connect(t.Context(), w.Info(0)); err != nil {
			t.Fatal(err)
		}
		body, err := dcbor.Marshal(whisper{Boot: 1, Seq: 1, Packets: []byte{0x81, 0x01}})
		if err != nil {
			t.Fatal(err)
		}
		learned := make(chan int)
		n := 0
		for range 2 * maxWaiting {
			for _, id := range []protocol.ID{WhisperProtocol, ControlProtocol, gossipProtocol} {
				s, err := outsider.NewStream(t.Context(), w.Hosts[0].ID(), onWire(id, ms[0].tag))
				if err != nil {
					continue
				}
				n++
				frame.Write(s, body)
				go func() {
					got, _ := io.ReadAll(s)
					learned <- len(got)
				}()
			}
		}
		pass(time.Second)
		ms[0].members.mu.Lock()
		waiting := ms[0].members.waiting[outsider.ID()]
		ms[0].members.mu.Unlock()
		if waiting != maxWaiting {
			t.Errorf("%d streams wait for its hello, not %d", waiting, maxWaiting)
		}
		for range n {
			if bytes := <-learned; bytes != 0 {
				t.Errorf("it was told %d bytes", bytes)
			}
		}
		if s := ms[0].Status(); s.ReceivedWhispers != 0 || len(ms[0].Peers()) != 0 {
			t.Errorf("it got through: %+v", s)
		}
		if n := len(ms[0].members.waiting); n != 0 {
			t.Errorf("%d peers are still waited for", n)
		}
	})
}

// hand opens a hello by hand; prove returns the tags to send for those received.
func hand(t *testing.T, to network.Stream, mine netkey.Nonce, prove func(helloAnswer) []netkey.HelloTag) helloAnswer {
	t.Helper()
	var answer helloAnswer
	if err := sendHello(to, helloOpen{Version: helloVersion, From: helloInfo{Nonce: mine}}); err != nil {
		t.Fatal(err)
	}
	if err := readHello(frame.NewReader(to, maxHello), &answer); err != nil {
		t.Fatal(err)
	}
	if err := sendHello(to, helloProof{Tags: prove(answer)}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(to); err != nil {
		t.Fatal(err)
	}
	pass(0)
	return answer
}

// The tags that somebody saw, or was sent, are of no use to it.
func TestHelloAgainstReplayAndReflection(t *testing.T) {
	testnet.Run(t, func(t *testing.T, seed uint64) {
		w, ms, h := arena(t, seed, 1)
		var opened []helloOpen // hellos that the mesh opens are answered with nonsense
		h.SetStreamHandler(HelloProtocol, func(s network.Stream) {
			var o helloOpen
			if readHello(frame.NewReader(s, maxHello), &o) == nil {
				opened = append(opened, o)
			}
			s.Reset()
		})
		if err := h.Connect(t.Context(), w.Info(0)); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		stream := func() network.Stream {
			s, err := h.NewStream(t.Context(), w.Hosts[0].ID(), HelloProtocol)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		idA, idB := string(h.ID()), string(w.Hosts[0].ID())
		honest := func(n netkey.Nonce) func(helloAnswer) []netkey.HelloTag {
			return func(a helloAnswer) []netkey.HelloTag {
				return []netkey.HelloTag{ms[0].secret.HelloTag(netkey.Opener, idA, idB, n, a.From.Nonce)}
			}
		}
		refused := func(name string) {
			t.Helper()
			if len(ms[0].Peers()) != 0 {
				t.Fatalf("%s made it a member", name)
			}
		}

		// It reflects what the other side has just proven with.
		reflect := func(a helloAnswer) []netkey.HelloTag { return a.Tags }
		hand(t, stream(), netkey.Nonce{1}, reflect)
		refused("reflection")
		// It uses the nonce that the mesh chose in a hello of its own.
		if len(opened) == 0 {
			t.Fatal("the mesh opened no hello")
		}
		hand(t, stream(), opened[0].From.Nonce, reflect)
		refused("reflection across two hellos")

		// It has proven itself once, honestly, and replays that.
		var seen []netkey.HelloTag
		hand(t, stream(), netkey.Nonce{2}, func(a helloAnswer) []netkey.HelloTag {
			seen = honest(netkey.Nonce{2})(a)
			return seen
		})
		if len(ms[0].Peers()) != 1 {
			t.Fatal("the honest hello was refused")
		}
		ms[0].members.expel(h.ID(), ErrLeft)
		hand(t, stream(), netkey.Nonce{2}, func(helloAnswer) []netkey.HelloTag { return seen })
		refused("replay")
	})
}

// Somebody between two members, who passes on what each says to the other.
func TestHelloAgainstAManInTheMiddle(t *testing.T) {
	testnet.Run(t, func(t *testing.T, seed uint64) {
		w, ms, middle := arena(t, seed, 2)
		relayed := 0
		middle.SetStreamHandler(HelloProtocol, func(a network.Stream) {
			other := w.Hosts[0].ID()
			if a.Conn().RemotePeer() == other {
				other = w.Hosts[1].ID()
			}
			b, err := middle.NewStream(t.Context(), other, HelloProtocol)
			if err != nil {
				a.Reset()
				return
			}
			relayed++
			go func() {
				io.Copy(b, a)
				b.CloseWrite()
			}()
			io.Copy(a, b)
			a.Close()
		})
		for i := range 2 {
			if err := middle.Connect(t.Context(), w.Info(i)); err != nil {
				t.Fatal(err)
			}
		}
		pass(5 * time.Second)
		if relayed == 0 {
			t.Fatal("nothing was passed on")
		}
		for i := range 2 {
			if got := ms[i].Peers(); len(got) != 0 {
				t.Errorf("%d took it for a member: %v", i, got)
			}
		}
		if err := ms[0].Connect(t.Context(), w.Info(2)); !errors.Is(err, ErrNoCommonNetwork) {
			t.Errorf("an explicit connection to it: %v", err)
		}
	})
}

// A member that sends bad signatures is outside for ten minutes; others notice
// nothing of it.
func TestBadSignaturesEndAMembership(t *testing.T) {
	testnet.Run(t, func(t *testing.T, seed uint64) {
		w := testnet.New(t, seed, 3)
		var ms []*Mesh
		for i := range 3 {
			ms = append(ms, mustJoin(t, w.Hosts[i]))
		}
		for i := range 2 {
			if err := ms[i].Connect(t.Context(), w.Info(i+1)); err != nil {
				t.Fatal(err)
			}
		}
		pass(3 * time.Second)
		author, _ := fuzzAuthor(t) // who is not here
		author.secret = ms[0].secret
		var seq uint64
		bad := func(n int) {
			for range n {
				seq++
				data, err := author.seal(seq, []batch.Message{{Packets: []byte{0x80}}})
				if err != nil {
					t.Fatal(err)
				}
				data[len(data)-1] ^= 1
				if err := ms[2].broadcaster.topic.Publish(t.Context(), data); err != nil {
					t.Fatal(err)
				}
				pass(time.Second)
			}
		}
		bad(int(peerlimit.DefaultBudgets()[peerlimit.BadBatch].Most))
		if !ms[0].members.has(w.Hosts[2].ID()) {
			t.Fatal("it was put outside early")
		}
		pass(peerlimit.DefaultBudgets()[peerlimit.BadBatch].In)
		bad(int(peerlimit.DefaultBudgets()[peerlimit.BadBatch].Most) + 1)
		pass(time.Minute)
		for i := range 2 {
			if ms[i].members.has(w.Hosts[2].ID()) {
				t.Errorf("%d still has it as a member", i)
			}
		}
		if !ms[0].members.has(w.Hosts[1].ID()) || !ms[1].members.has(w.Hosts[0].ID()) {
			t.Error("the others lost each other")
		}
		if n := ms[0].Status().ReceivedBroadcasts; n != 0 {
			t.Errorf("%d broadcasts got through", n)
		}
		pass(banTime + time.Minute)
		if len(ms[2].Peers()) == 0 {
			t.Error("it was never forgiven")
		}
	})
}

// An author that sends what it has not signed properly is heard by its neighbours,
// who know it by its connection. They do not pass it on, and put it outside.
func TestUnsignedByItsAuthor(t *testing.T) {
	testnet.Run(t, func(t *testing.T, seed uint64) {
		w := testnet.New(t, seed, 3)
		ms := []*Mesh{mustJoin(t, w.Hosts[0]), mustJoin(t, w.Hosts[1]), mustJoin(t, w.Hosts[2])}
		w.Block(0, 2, true)
		for i := range 2 {
			if err := ms[i].Connect(t.Context(), w.Info(i+1)); err != nil {
				t.Fatal(err)
			}
		}
		pass(3 * time.Second)
		for seq := range uint64(peerlimit.DefaultBudgets()[peerlimit.BadBatch].Most) + 1 {
			sealed, err := ms[0].broadcaster.seal(seq+1, []batch.Message{{Packets: []byte{0x80}}})
			if err != nil {
				t.Fatal(err)
			}
			sealed[len(sealed)-1] ^= 1
			if err := ms[0].broadcaster.topic.Publish(t.Context(), sealed); err != nil {
				t.Fatal(err)
			}
			pass(time.Second)
		}
		if n := ms[1].Status().ReceivedBroadcasts; n != uint64(peerlimit.DefaultBudgets()[peerlimit.BadBatch].Most)+1 {
			t.Errorf("its neighbour handled %d", n)
		}
		if s := ms[2].Status(); s.ReceivedBroadcasts != 0 || s.BadSignatures != 0 {
			t.Errorf("it was passed on: %+v", s)
		}
		if ms[1].members.has(ms[0].ID()) || !ms[1].members.has(ms[2].ID()) {
			t.Errorf("its neighbour has %v", ms[1].Peers())
		}
	})
}

// What was said once is not handled again, however late, and not in another
// network.
func TestReplayedBroadcastIsNotHandled(t *testing.T) {
	testnet.Run(t, func(t *testing.T, seed uint64) {
		w := testnet.New(t, seed, 2)
		a, b := mustJoin(t, w.Hosts[0]), mustJoin(t, w.Hosts[1])
		if err := a.Connect(t.Context(), w.Info(1)); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		sealed, err := a.broadcaster.seal(1, []batch.Message{{Packets: []byte{0x80}}})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if err := a.broadcaster.topic.Publish(t.Context(), sealed); err != nil {
				t.Fatal(err)
			}
			pass(2 * seenTTL) // pubsub has forgotten it
		}
		if n := b.Status().ReceivedBroadcasts; n != 1 {
			t.Errorf("handled %d times", n)
		}
		other, err := Join(t.Context(), w.Hosts[0], "other", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		foreign, err := other.broadcaster.seal(2, []batch.Message{{Packets: []byte{0x80}}})
		if err != nil {
			t.Fatal(err)
		}
		if fresh, err := b.broadcaster.accept(other.ID(), foreign, 0); fresh || !errors.Is(err, errForeign) {
			t.Errorf("a batch of another network: %v", err)
		}
	})
}
