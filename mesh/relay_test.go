package mesh_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/p2p-today/go2p/internal/meshtest"
	"github.com/p2p-today/go2p/internal/testnet"
	"github.com/p2p-today/go2p/mesh"
)

// P11: what two members relay from another network is handled once by everybody, the
// two as well, and an answer goes to one of them.
func TestRelay(t *testing.T) {
	testnet.Run(t, func(t *testing.T, seed uint64) {
		l := newLab(t, seed, 4, nil)
		l.Line()
		meshtest.Pass(time.Second)
		when := time.UnixMilli(1_480_000_000_000)
		var ids []string
		for range 2 {
			for n := range 50 {
				for _, i := range []int{0, 3} {
					c := mesh.Relayed{Origin: "legacy:mesh/somebody", ID: fmt.Sprint(n), Time: when}
					r, err := l.Meshes[i].Relay(l.Ctx(), c, "old", n)
					if err != nil {
						t.Fatal(err)
					}
					ids = append(ids, r.ID)
				}
			}
			meshtest.Pass(time.Minute)
		}
		slices.Sort(ids)
		if ids = slices.Compact(ids); len(ids) != 50 {
			t.Errorf("50 messages have %d IDs", len(ids))
		}
		for i, got := range l.got {
			slices.Sort(got)
			if len(got) != 50 || len(slices.Compact(got)) != 50 {
				t.Errorf("%d got %d of 50: %q", i, len(got), got)
			}
		}
		last := l.events[1][len(l.events[1])-1].Message
		if last.Origin != "legacy:mesh/somebody" || last.OriginID == "" || !last.Time.Equal(when) || last.From != l.Hosts[0].ID() && last.From != l.Hosts[3].ID() {
			t.Errorf("%+v", last)
		}
		if err := l.Meshes[1].Reply(l.Ctx(), last, "answer"); err != nil {
			t.Fatal(err)
		}
		meshtest.Pass(time.Second)
		carrier := slices.IndexFunc(l.Meshes, func(m *mesh.Mesh) bool { return m.ID() == last.From })
		if ev := l.events[carrier][len(l.events[carrier])-1]; ev.Message.To != last.Origin || ev.Message.From != l.Hosts[1].ID() {
			t.Errorf("instead of the answer: %+v", ev)
		}
		if err := l.Meshes[0].RelayTo(l.Ctx(), l.Hosts[1].ID(), mesh.Relayed{Origin: "legacy:mesh/x", Time: when}, "to you"); err != nil {
			t.Fatal(err)
		}
		meshtest.Pass(time.Second)
		if ev := l.events[1][len(l.events[1])-1]; ev.Message.Kind != mesh.Whisper || ev.Message.Origin != "legacy:mesh/x" {
			t.Errorf("instead of the whisper: %+v", ev)
		}
		if err := l.Meshes[0].RelayTo(l.Ctx(), l.Hosts[0].ID(), mesh.Relayed{Origin: "legacy:mesh/x", Time: when}, "to myself"); err != nil {
			t.Fatal(err)
		}
		meshtest.Pass(time.Second)
		if ev := l.events[0][len(l.events[0])-1]; ev.Message.Kind != mesh.Whisper || fmt.Sprint(ev.Message.Packets...) != "to myself" {
			t.Errorf("instead of the whisper: %+v", ev)
		}
		for _, origin := range []string{"", l.Hosts[1].ID().String(), strings.Repeat("x:", mesh.MaxOrigin)} {
			if _, err := l.Meshes[0].Relay(l.Ctx(), mesh.Relayed{Origin: origin}, "x"); !errors.Is(err, mesh.ErrOrigin) {
				t.Errorf("an origin of %d bytes: %v", len(origin), err)
			}
		}
	})
}

// Who observes sees each broadcast once, this peer's too, whoever takes it.
func TestObserve(t *testing.T) {
	testnet.Run(t, func(t *testing.T, seed uint64) {
		l := newLab(t, seed, 2, nil)
		l.Connect(0, 1)
		meshtest.Pass(time.Second)
		var seen []string
		end := l.Meshes[0].Service("test").Observe(func(msg mesh.Message) { seen = append(seen, fmt.Sprint(msg.From == l.Hosts[0].ID(), msg.Packets)) })
		for i := range 2 {
			if _, err := l.Meshes[i].Broadcast(l.Ctx(), i); err != nil {
				t.Fatal(err)
			}
			meshtest.Pass(time.Second)
		}
		if err := l.Meshes[1].Whisper(l.Ctx(), l.Hosts[0].ID(), "not this"); err != nil {
			t.Fatal(err)
		}
		end()
		if _, err := l.Meshes[1].Broadcast(l.Ctx(), "nor this"); err != nil {
			t.Fatal(err)
		}
		meshtest.Pass(time.Second)
		if want := []string{"true [0]", "false [1]"}; !slices.Equal(seen, want) {
			t.Errorf("seen %q, want %q", seen, want)
		}
	})
}
