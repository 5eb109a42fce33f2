package mesh_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/internal/meshtest"
	"github.com/p2p-today/go2p/internal/testnet"
	"github.com/p2p-today/go2p/mesh"
)

// A lab is a simulated network with a mesh on each host.
type lab struct {
	*meshtest.Lab
	t      *testing.T
	got    [][]string // texts of the messages that each mesh handled
	events [][]mesh.Event
	off    map[peer.ID]time.Duration // how far clocks are off
}

// newLab joins n hosts to one network, none connected.
func newLab(t *testing.T, seed uint64, n int, opts *mesh.Options) *lab {
	t.Helper()
	l := bareLab(t, seed, n)
	for i := range n {
		l.Join(i, "lab", opts)
	}
	return l
}

// bareLab has hosts without meshes.
func bareLab(t *testing.T, seed uint64, n int) *lab {
	t.Helper()
	return &lab{
		Lab: meshtest.New(t, seed, n), t: t,
		got: make([][]string, n), events: make([][]mesh.Event, n),
	}
}

// Join joins host i, and writes down what its mesh gets until it is closed.
func (l *lab) Join(i int, network string, opts *mesh.Options) *mesh.Mesh {
	l.t.Helper()
	m := l.mesh(i, network, opts)
	l.Meshes[i] = m
	events := m.Events(context.Background())
	go func() {
		for ev, err := range events {
			if err != nil {
				return
			}
			l.events[i] = append(l.events[i], ev)
			if ev.Kind == mesh.EventMessage {
				l.got[i] = append(l.got[i], fmt.Sprint(ev.Message.Packets...))
			}
		}
	}()
	return m
}

// mesh joins host i to a network.
func (l *lab) mesh(i int, network string, opts *mesh.Options) *mesh.Mesh {
	l.t.Helper()
	clock := func() time.Time { return time.Now().Add(l.off[l.Hosts[i].ID()]) }
	m, err := mesh.JoinWithClock(l.t.Context(), l.Hosts[i], network, opts, clock)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { m.Close() })
	return m
}

func (l *lab) members(i int) []int {
	var members []int
	for _, p := range l.Meshes[i].Peers() {
		members = append(members, slices.IndexFunc(l.Meshes, func(m *mesh.Mesh) bool { return m.ID() == p.ID }))
	}
	slices.Sort(members)
	return members
}

func (l *lab) count(i int, kind mesh.EventKind, p peer.ID) int {
	n := 0
	for _, ev := range l.events[i] {
		if ev.Kind == kind && (p == "" || ev.Peer == p) {
			n++
		}
	}
	return n
}

func TestBroadcastWhisperReply(t *testing.T) {
	testnet.Run(t, func(t *testing.T, seed uint64) {
		l := newLab(t, seed, 3, nil)
		l.Line()
		meshtest.Pass(time.Second)
		r, err := l.Meshes[0].Broadcast(l.Ctx(), "hello", 1, []byte{2})
		if err != nil || r.Neighbours != 1 {
			t.Fatal(r, err)
		}
		meshtest.Pass(5 * time.Second)
		for i, want := range [][]string{nil, {"hello1 [2]"}, {"hello1 [2]"}} {
			if !slices.Equal(l.got[i], want) {
				t.Errorf("%d got %q, want %q", i, l.got[i], want)
			}
		}
		last := l.events[2][len(l.events[2])-1].Message
		if last.ID != r.ID || last.From != l.Hosts[0].ID() || last.Kind != mesh.Broadcast {
			t.Errorf("%+v", last)
		}

		if err := l.Meshes[2].Reply(l.Ctx(), last, "yes"); err != nil {
			t.Fatal(err)
		}
		meshtest.Pass(0)
		if ev := l.events[0][len(l.events[0])-1]; ev.Message.Kind != mesh.Reply || ev.Message.To != r.ID {
			t.Errorf("instead of the reply: %+v", ev)
		}
	})
}

// P1: two members that can exchange packets end with exactly one membership,
// here although both dial at the same instant.
func TestSimultaneousDialsMakeOneMembership(t *testing.T) {
	for range 10 {
		testnet.Run(t, func(t *testing.T, seed uint64) {
			l := newLab(t, seed, 2, nil)
			for i := range 2 {
				go func() {
					if err := l.Meshes[i].Connect(l.Ctx(), l.Info(1-i)); err != nil {
						t.Error(i, err)
					}
				}()
			}
			meshtest.Pass(time.Minute)
			for i := range 2 {
				if got := l.members(i); !slices.Equal(got, []int{1 - i}) {
					t.Errorf("%d has the members %v", i, got)
				}
				up, down := l.count(i, mesh.EventPeerUp, ""), l.count(i, mesh.EventPeerDown, "")
				if up != 1 || down != 0 {
					t.Errorf("%d: membership began %d times and ended %d times", i, up, down)
				}
			}
		})
	}
}

// P1 at large: after a storm of dials, losses and cuts that heals, the members form
// one network.
func TestMembersFormOneNetwork(t *testing.T) {
	testnet.Run(t, func(t *testing.T, seed uint64) {
		const n = 8
		l := newLab(t, seed, n, &mesh.Options{Neighbours: 3})
		l.Loss(0.1)
		l.Line()
		l.Cut(0, 1, 2)
		meshtest.Pass(time.Minute)
		l.Cut()
		l.Loss(0)
		meshtest.Pass(2 * time.Minute)
		reached := map[int]bool{0: true}
		for range n {
			for i := range reached {
				for _, j := range l.members(i) {
					reached[j] = true
				}
			}
		}
		if len(reached) != n {
			t.Errorf("only %v are in the network of 0", reached)
		}
		for i := range n {
			for _, j := range l.members(i) {
				if !slices.Contains(l.members(j), i) {
					t.Errorf("%d is a member to %d, but not the other way round", j, i)
				}
			}
		}
	})
}

// P2: a refused join is told at both ends with the same reason.
func TestRefusedAtBothEnds(t *testing.T) {
	for name, theirs := range map[string]*mesh.Options{
		"another network": nil,
		"another key":     {Key: make([]byte, mesh.KeySize)},
	} {
		testnet.Run(t, func(t *testing.T, seed uint64) {
			l := bareLab(t, seed, 2)
			l.Join(0, "lab", &mesh.Options{Key: []byte("0123456789abcdef0123456789abcdef")})
			l.Join(1, "lab", theirs)
			err := l.Meshes[0].Connect(l.Ctx(), l.Info(1))
			if !errors.Is(err, mesh.ErrNoCommonNetwork) {
				t.Errorf("%s: Connect: %v", name, err)
			}
			meshtest.Pass(time.Minute)
			for i := range 2 {
				other := l.Hosts[1-i].ID()
				if n := l.count(i, mesh.EventRefused, other); n != 1 {
					t.Errorf("%s: %d was told %d times", name, i, n)
				}
				errs := l.Meshes[i].Status().Errors
				if len(errs) != 1 || errs[0].Peer != other || !errors.Is(errs[0].Err, mesh.ErrNoCommonNetwork) {
					t.Errorf("%s: status of %d: %v", name, i, errs)
				}
			}
		})
	}
}

// A stranger met by chance, such as on the same LAN, is no error.
func TestStrangerIsNoError(t *testing.T) {
	testnet.Run(t, func(t *testing.T, seed uint64) {
		l := bareLab(t, seed, 2)
		l.Join(0, "lab", nil)
		l.Join(1, "other", nil)
		if err := l.Hosts[0].Connect(l.Ctx(), l.Info(1)); err != nil {
			t.Fatal(err)
		}
		meshtest.Pass(time.Minute)
		for i := range 2 {
			if len(l.events[i]) != 0 || len(l.Meshes[i].Status().Errors) != 0 {
				t.Errorf("%d: %v, %v", i, l.events[i], l.Meshes[i].Status().Errors)
			}
		}
	})
}

func TestKilledPeerComesBack(t *testing.T) {
	testnet.Run(t, func(t *testing.T, seed uint64) {
		l := newLab(t, seed, 3, &mesh.Options{Neighbours: 1})
		l.Line()
		l.Kill(1)
		l.Meshes[1].Close()
		meshtest.Pass(15 * time.Second)
		if got := l.members(0); len(got) != 0 {
			t.Fatalf("the dead peer is still a member: %v", got)
		}
		l.Restart(1)
		l.Join(1, "lab", nil)
		meshtest.Pass(2 * time.Minute)
		if got := l.members(1); !slices.Contains(got, 0) || !slices.Contains(got, 2) {
			t.Fatalf("1 has the members %v", got)
		}
		if _, err := l.Meshes[0].Broadcast(l.Ctx(), "whole again"); err != nil {
			t.Fatal(err)
		}
		meshtest.Pass(5 * time.Second)
		if !slices.Equal(l.got[2], []string{"whole again"}) {
			t.Errorf("2 got %q", l.got[2])
		}
	})
}

// A peer that is started again before anybody has missed it must not be taken for
// its former run, whose connections are dead.
func TestQuickRestart(t *testing.T) {
	testnet.Run(t, func(t *testing.T, seed uint64) {
		l := newLab(t, seed, 2, nil)
		l.Connect(0, 1)
		meshtest.Pass(time.Second)
		l.Kill(1)
		l.Meshes[1].Close()
		l.Restart(1)
		l.Join(1, "lab", &mesh.Options{Join: []peer.AddrInfo{l.Info(0)}})
		meshtest.Pass(5 * time.Second)
		if _, err := l.Meshes[0].Broadcast(l.Ctx(), "new"); err != nil {
			t.Fatal(err)
		}
		if err := l.Meshes[0].Whisper(l.Ctx(), l.Hosts[1].ID(), "run"); err != nil {
			t.Fatal(err)
		}
		meshtest.Pass(5 * time.Second)
		if !slices.Equal(l.got[1], []string{"new", "run"}) {
			t.Errorf("the new run got %q", l.got[1])
		}
	})
}

func TestDisconnectHoldsUntilConnect(t *testing.T) {
	testnet.Run(t, func(t *testing.T, seed uint64) {
		l := newLab(t, seed, 2, nil)
		l.Connect(0, 1)
		if err := l.Meshes[0].Disconnect(l.Hosts[1].ID()); err != nil {
			t.Fatal(err)
		}
		meshtest.Pass(5 * time.Minute)
		for i := range 2 {
			if got := l.members(i); len(got) != 0 {
				t.Errorf("%d still has the members %v", i, got)
			}
		}
		l.Connect(1, 0)
		meshtest.Pass(time.Second)
		for i := range 2 {
			if got := l.members(i); len(got) != 1 {
				t.Errorf("after Connect %d has the members %v", i, got)
			}
		}
	})
}

func TestWhisperFindsItsWay(t *testing.T) {
	testnet.Run(t, func(t *testing.T, seed uint64) {
		l := newLab(t, seed, 5, &mesh.Options{Neighbours: 1})
		l.Line()
		last := l.Hosts[4].ID()
		if err := l.Meshes[0].Whisper(l.Ctx(), last, "across"); err != nil {
			t.Fatal(err)
		}
		meshtest.Pass(0)
		if !slices.Equal(l.got[4], []string{"across"}) {
			t.Errorf("the last got %q", l.got[4])
		}
		start := time.Now()
		err := l.Meshes[0].Whisper(l.Ctx(), stranger(t), "anybody?")
		if !errors.Is(err, mesh.ErrUnreachable) {
			t.Errorf("whisper to an unknown peer: %v", err)
		}
		if d := time.Since(start); d > 10*time.Second {
			t.Errorf("it took %v to find out", d)
		}
	})
}

// stranger is the ID of a peer that is nowhere.
func stranger(t *testing.T) peer.ID {
	t.Helper()
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestWhispersSurviveABrokenConnection(t *testing.T) {
	testnet.Run(t, func(t *testing.T, seed uint64) {
		l := newLab(t, seed, 2, nil)
		l.Connect(0, 1)
		var want []string
		for i := range 20 {
			if i%5 == 3 {
				for _, c := range l.Hosts[i%2].Network().Conns() {
					go c.Close()
				}
			}
			want = append(want, fmt.Sprint(i))
			if err := l.Meshes[0].Whisper(l.Ctx(), l.Hosts[1].ID(), want[i]); err != nil {
				t.Fatal(i, err)
			}
		}
		meshtest.Pass(0)
		if !slices.Equal(l.got[1], want) {
			t.Errorf("got %q", l.got[1])
		}
	})
}

func TestAsk(t *testing.T) {
	testnet.Run(t, func(t *testing.T, seed uint64) {
		l := newLab(t, seed, 2, nil)
		l.Connect(0, 1)
		h := l.Meshes[1].Handle(func(ctx context.Context, msg mesh.Message) bool {
			if err := l.Meshes[1].Reply(ctx, msg, append([]any{"re"}, msg.Packets...)...); err != nil {
				t.Error(err)
			}
			return true
		})
		msg, err := l.Meshes[0].Ask(l.Ctx(), l.Hosts[1].ID(), int64(7))
		if err != nil || !reflect.DeepEqual(msg.Packets, []any{"re", int64(7)}) || msg.Kind != mesh.Reply {
			t.Errorf("%+v, %v", msg, err)
		}
		h.Remove()
		ctx, cancel := context.WithTimeout(l.Ctx(), time.Second)
		defer cancel()
		if _, err := l.Meshes[0].Ask(ctx, l.Hosts[1].ID(), "?"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("without a reply: %v", err)
		}
		meshtest.Pass(0)
		if !slices.Equal(l.got[1], []string{"?"}) || len(l.got[0]) != 0 {
			t.Errorf("beside the handlers: %q, %q", l.got[1], l.got[0])
		}
	})
}

func TestHandlersAreAChain(t *testing.T) {
	testnet.Run(t, func(t *testing.T, seed uint64) {
		l := newLab(t, seed, 2, nil)
		l.Connect(0, 1)
		var first, second []string
		takes := func(list *[]string, text string) func(context.Context, mesh.Message) bool {
			return func(_ context.Context, msg mesh.Message) bool {
				*list = append(*list, fmt.Sprint(msg.Packets...))
				return msg.Packets[0] == text
			}
		}
		l.Meshes[1].Handle(takes(&first, "a"))
		l.Meshes[1].Handle(takes(&second, "b"))
		for _, text := range []string{"a", "b", "c"} {
			if err := l.Meshes[0].Whisper(l.Ctx(), l.Hosts[1].ID(), text); err != nil {
				t.Fatal(err)
			}
		}
		meshtest.Pass(0)
		for _, c := range []struct{ got, want []string }{
			{first, []string{"a", "b", "c"}}, {second, []string{"b", "c"}}, {l.got[1], []string{"c"}},
		} {
			if !slices.Equal(c.got, c.want) {
				t.Errorf("got %q, want %q", c.got, c.want)
			}
		}
	})
}

func TestBadPackets(t *testing.T) {
	testnet.Run(t, func(t *testing.T, seed uint64) {
		l := newLab(t, seed, 2, nil)
		l.Connect(0, 1)
		to := l.Hosts[1].ID()
		_, err := l.Meshes[0].Broadcast(l.Ctx(), "fine", []any{1, make(chan int)})
		if te, ok := errors.AsType[*mesh.TypeError](err); !ok || te.Path != "[1][1]" {
			t.Errorf("a channel: %v", err)
		}
		if err := l.Meshes[0].Whisper(l.Ctx(), to, make([]byte, mesh.MaxMessage)); !errors.Is(err, mesh.ErrTooLarge) {
			t.Errorf("too large: %v", err)
		}
		largest := make([]byte, mesh.MaxMessage-16)
		if err := l.Meshes[0].Whisper(l.Ctx(), to, largest); err != nil {
			t.Errorf("just not too large: %v", err)
		}
		if _, err := l.Meshes[0].Broadcast(l.Ctx(), largest); err != nil {
			t.Errorf("just not too large: %v", err)
		}
		meshtest.Pass(5 * time.Second)
		if len(l.got[1]) != 2 {
			t.Errorf("%d of 2 large messages arrived", len(l.got[1]))
		}
	})
}

// Several networks on one host, and the caller's own gossipsub beside them.
func TestNetworksAreApart(t *testing.T) {
	testnet.Run(t, func(t *testing.T, seed uint64) {
		l := bareLab(t, seed, 3)
		var own []*pubsub.Subscription
		for _, h := range l.Hosts {
			ps, err := pubsub.NewGossipSub(t.Context(), h)
			if err != nil {
				t.Fatal(err)
			}
			topic, err := ps.Join("own")
			if err != nil {
				t.Fatal(err)
			}
			sub, err := topic.Subscribe()
			if err != nil {
				t.Fatal(err)
			}
			own = append(own, sub)
			if len(own) == 3 {
				defer func() {
					if err := topic.Publish(l.Ctx(), []byte("mine")); err != nil {
						t.Error(err)
					}
					for i, sub := range own {
						if msg, err := sub.Next(l.Ctx()); err != nil || string(msg.Data) != "mine" {
							t.Errorf("the caller's gossipsub at %d: %v, %v", i, msg, err)
						}
					}
				}()
			}
		}
		red0, red1 := l.mesh(0, "red", nil), l.mesh(1, "red", nil)
		blue0, blue2 := l.mesh(0, "blue", nil), l.mesh(2, "blue", nil)
		if _, err := mesh.Join(t.Context(), l.Hosts[0], "red", nil); err == nil {
			t.Error("one network was joined twice")
		}
		for i := 1; i <= 2; i++ {
			if err := l.Hosts[0].Connect(l.Ctx(), l.Info(i)); err != nil {
				t.Fatal(err)
			}
		}
		meshtest.Pass(5 * time.Second)
		for name, c := range map[string]struct {
			m    *mesh.Mesh
			want int
		}{"red0": {red0, 1}, "red1": {red1, 0}, "blue0": {blue0, 2}, "blue2": {blue2, 0}} {
			peers := c.m.Peers()
			if len(peers) != 1 || peers[0].ID != l.Hosts[c.want].ID() {
				t.Errorf("%s has the neighbours %v", name, peers)
			}
		}

		// A network that is joined later is found over the same connection.
		green0, green1 := l.mesh(0, "green", nil), l.mesh(1, "green", nil)
		meshtest.Pass(5 * time.Second)
		if len(green0.Peers()) != 1 || len(green1.Peers()) != 1 {
			t.Error("a network joined on connected hosts has no neighbours")
		}
		green1.Close()
		meshtest.Pass(5 * time.Second)
		if len(green0.Peers()) != 0 || len(red0.Peers()) != 1 {
			t.Error("leaving one network did not end exactly that one")
		}
	})
}

func TestLaggingSubscriberIsEnded(t *testing.T) {
	testnet.Run(t, func(t *testing.T, seed uint64) {
		l := newLab(t, seed, 2, nil)
		l.Connect(0, 1)
		slow := l.Meshes[1].Messages(t.Context())
		for i := range 1100 {
			if err := l.Meshes[0].Whisper(l.Ctx(), l.Hosts[1].ID(), i); err != nil {
				t.Fatal(err)
			}
		}
		meshtest.Pass(0)
		if n := len(l.got[1]); n != 1100 {
			t.Errorf("the subscriber that keeps up got %d", n)
		}
		for _, err := range slow {
			if !errors.Is(err, mesh.ErrLagged) {
				t.Errorf("the one that does not: %v", err)
			}
		}
	})
}

// The handler of the options comes before all others, and what it takes nobody else gets.
func TestHandlerOfTheOptions(t *testing.T) {
	testnet.Run(t, func(t *testing.T, seed uint64) {
		l := bareLab(t, seed, 2)
		var first []string
		l.Join(0, "lab", nil)
		l.Join(1, "lab", &mesh.Options{Handle: func(_ context.Context, msg mesh.Message) bool {
			first = append(first, fmt.Sprint(msg.Packets...))
			return msg.Packets[0] == "taken"
		}})
		l.Connect(0, 1)
		for _, text := range []string{"taken", "left"} {
			if err := l.Meshes[0].Whisper(l.Ctx(), l.Hosts[1].ID(), text); err != nil {
				t.Fatal(err)
			}
		}
		meshtest.Pass(time.Second)
		if !slices.Equal(first, []string{"taken", "left"}) || !slices.Equal(l.got[1], []string{"left"}) {
			t.Errorf("the first handler got %q, the others %q", first, l.got[1])
		}
	})
}

// Remembered peers and the boot counter outlive the process.
func TestRememberedPeersFindEachOther(t *testing.T) {
	dirs := []string{t.TempDir(), t.TempDir()}
	testnet.Run(t, func(t *testing.T, seed uint64) {
		l := bareLab(t, seed, 2)
		for i := range 2 {
			l.Join(i, "lab", &mesh.Options{Dir: dirs[i]})
		}
		l.Connect(0, 1)
		meshtest.Pass(time.Second)
		before := l.Meshes[0].Status().Boot
		for i := range 2 {
			l.Meshes[i].Close()
			l.Kill(i)
		}
		for i := range 2 {
			l.Restart(i)
			l.Join(i, "lab", &mesh.Options{Dir: dirs[i]})
		}
		meshtest.Pass(10 * time.Second)
		if got := l.members(0); !slices.Equal(got, []int{1}) {
			t.Errorf("0 has the members %v", got)
		}
		if after := l.Meshes[0].Status().Boot; after != before+1 {
			t.Errorf("boot went from %d to %d", before, after)
		}
	})
}

func TestRequestPeers(t *testing.T) {
	testnet.Run(t, func(t *testing.T, seed uint64) {
		l := newLab(t, seed, 3, &mesh.Options{Neighbours: 1})
		l.Line()
		infos, err := l.Meshes[0].RequestPeers(l.Ctx())
		if err != nil || len(infos) != 2 {
			t.Fatal(infos, err)
		}
		for _, info := range infos {
			if len(info.Addrs) == 0 {
				t.Errorf("no address for %s", info.ID)
			}
		}
	})
}

// P12: Close ends in bounded time and leaves nothing behind, whatever goes on.
func TestCloseLeavesNothing(t *testing.T) {
	testnet.Run(t, func(t *testing.T, seed uint64) {
		l := newLab(t, seed, 3, &mesh.Options{Join: []peer.AddrInfo{{ID: stranger(t)}}})
		protocols := func() int { return len(l.Hosts[1].Mux().Protocols()) }
		l.Line()
		go func() {
			for l.Meshes[0].Whisper(context.Background(), l.Hosts[1].ID(), "busy") == nil {
			}
		}()
		go l.Meshes[2].Ask(context.Background(), l.Hosts[1].ID(), "waits for ever")
		meshtest.Pass(time.Second)
		l.Cut(0) // nobody can be told
		before := protocols()
		start := time.Now()
		for i := range 3 {
			l.Meshes[i].Close()
			l.Meshes[i].Close()
		}
		if d := time.Since(start); d > 30*time.Second {
			t.Errorf("closing took %v", d)
		}
		if n := before - protocols(); n != 2 {
			t.Errorf("%d protocols were taken off the host, not 2", n)
		}
		meshtest.Pass(time.Minute) // libp2p's own goroutines find out that connections are dead
		for _, stack := range stacks() {
			if strings.Contains(stack, "go2p/mesh.") || strings.Contains(stack, "go-libp2p-pubsub.") {
				t.Errorf("left behind:\n%s", stack)
			}
		}
		if _, err := l.Meshes[0].Broadcast(l.Ctx(), "x"); !errors.Is(err, mesh.ErrClosed) {
			t.Errorf("broadcast when closed: %v", err)
		}
		if err := l.Meshes[0].Whisper(l.Ctx(), l.Hosts[1].ID(), "x"); !errors.Is(err, mesh.ErrClosed) {
			t.Errorf("whisper when closed: %v", err)
		}
		if err := l.Meshes[0].Connect(l.Ctx(), l.Info(1)); !errors.Is(err, mesh.ErrClosed) {
			t.Errorf("connect when closed: %v", err)
		}
	})
}

// stacks returns the stacks of all goroutines but this one.
func stacks() []string {
	buf := make([]byte, 1<<22)
	buf = buf[:runtime.Stack(buf, true)]
	return strings.Split(string(buf), "\n\n")[1:]
}

func TestAwaitNeighbour(t *testing.T) {
	testnet.Run(t, func(t *testing.T, seed uint64) {
		l := bareLab(t, seed, 3)
		alone := l.mesh(0, "lab", nil)
		if err := alone.AwaitNeighbour(l.Ctx()); !errors.Is(err, mesh.ErrAlone) {
			t.Errorf("with nobody to dial: %v", err)
		}
		late := l.mesh(1, "lab", &mesh.Options{Join: []peer.AddrInfo{l.Info(0)}})
		if err := late.AwaitNeighbour(l.Ctx()); err != nil {
			t.Errorf("with somebody to dial: %v", err)
		}
		other := l.mesh(2, "other", &mesh.Options{Join: []peer.AddrInfo{l.Info(0)}})
		if err := other.AwaitNeighbour(l.Ctx()); !errors.Is(err, mesh.ErrNoCommonNetwork) {
			t.Errorf("refused by all: %v", err)
		}
		lost := l.mesh(2, "lab", &mesh.Options{Join: []peer.AddrInfo{{ID: stranger(t)}}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		l.Cut(2)
		if err := lost.AwaitNeighbour(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("in time: %v", err)
		}
	})
}
