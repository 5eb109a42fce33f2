package mesh_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/internal/testnet"
	"github.com/p2p-today/go2p/mesh"
)

// A lab is a simulated network with a mesh on each host.
type lab struct {
	*testnet.Net
	t      *testing.T
	meshes []*mesh.Mesh
	got    [][]string // texts of the messages that each mesh handled
	events [][]mesh.Event
}

// newLab joins n hosts to one network, none connected.
func newLab(t *testing.T, seed uint64, n int, opts *mesh.Options) *lab {
	t.Helper()
	l := &lab{
		Net: testnet.New(t, seed, n), t: t,
		meshes: make([]*mesh.Mesh, n), got: make([][]string, n), events: make([][]mesh.Event, n),
	}
	for i := range n {
		l.join(i, "lab", opts)
	}
	return l
}

// join joins host i, and writes down what its mesh gets until it is closed.
func (l *lab) join(i int, network string, opts *mesh.Options) *mesh.Mesh {
	l.t.Helper()
	m, err := mesh.Join(l.t.Context(), l.Hosts[i], network, opts)
	if err != nil {
		l.t.Fatal(err)
	}
	l.meshes[i] = m
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
	l.t.Cleanup(func() { m.Close() })
	return m
}

func (l *lab) connect(i, j int) {
	l.t.Helper()
	if err := l.meshes[i].Connect(l.ctx(), l.Info(j)); err != nil {
		l.t.Fatalf("%d to %d: %v", i, j, err)
	}
}

// line connects each host to the next.
func (l *lab) line() {
	l.t.Helper()
	for i := range len(l.meshes) - 1 {
		l.connect(i, i+1)
	}
}

// ctx ends a minute from now, in virtual time.
func (l *lab) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	l.t.Cleanup(cancel)
	return ctx
}

// pass lets virtual time pass, and all that follows from it happen.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (l *lab) members(i int) []int {
	var members []int
	for _, p := range l.meshes[i].Peers() {
		members = append(members, slices.IndexFunc(l.meshes, func(m *mesh.Mesh) bool { return m.ID() == p.ID }))
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
		l.line()
		pass(time.Second)
		r, err := l.meshes[0].Broadcast(l.ctx(), "hello", 1, []byte{2})
		if err != nil || r.Neighbours != 1 {
			t.Fatal(r, err)
		}
		pass(5 * time.Second)
		for i, want := range [][]string{nil, {"hello1 [2]"}, {"hello1 [2]"}} {
			if !slices.Equal(l.got[i], want) {
				t.Errorf("%d got %q, want %q", i, l.got[i], want)
			}
		}
		last := l.events[2][len(l.events[2])-1].Message
		if last.ID != r.ID || last.From != l.Hosts[0].ID() || last.Kind != mesh.Broadcast {
			t.Errorf("%+v", last)
		}

		if err := l.meshes[2].Reply(l.ctx(), last, "yes"); err != nil {
			t.Fatal(err)
		}
		pass(0)
		if ev := l.events[0][len(l.events[0])-1]; ev.Message.Kind != mesh.Reply || ev.Message.To != r.ID {
			t.Errorf("instead of the reply: %+v", ev)
		}
	})
}
