package mesh_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/p2p-today/go2p/internal/meshtest"
	"github.com/p2p-today/go2p/internal/testnet"
	"github.com/p2p-today/go2p/mesh"
)

// rounds is how often a test repeats itself: few times, or with GO2P_LONG=1 as often
// as it takes to believe it.
func rounds(few, many int) int {
	if os.Getenv("GO2P_LONG") == "1" {
		return many
	}
	return few
}

// exactlyOnce checks P3: each of the messages was handled once by each of the peers
// but its author, in any order, and nothing was reported as lost.
func (l *lab) exactlyOnce(sent map[int][]string, peers ...int) {
	l.t.Helper()
	for _, i := range peers {
		var want []string
		for author, texts := range sent {
			if author != i {
				want = append(want, texts...)
			}
		}
		slices.Sort(want)
		got := slices.Sorted(slices.Values(l.got[i]))
		if !slices.Equal(got, want) {
			l.t.Errorf("%d handled %d messages of %d: %v", i, len(got), len(want), difference(want, got))
		}
		if s := l.Meshes[i].Status(); s.LostBroadcasts != 0 || l.count(i, mesh.EventGap, "") != 0 {
			l.t.Errorf("%d reports %d as lost", i, s.LostBroadcasts)
		}
	}
}

// difference names some of what is in only one of two sorted lists.
func difference(want, got []string) []string {
	counts := map[string]int{}
	for _, w := range want {
		counts[w]++
	}
	for _, g := range got {
		counts[g]--
	}
	var list []string
	for text, n := range counts {
		if n != 0 && len(list) < 5 {
			list = append(list, fmt.Sprintf("%.10s %+d", text, -n))
		}
	}
	return list
}

// everybodySends lets all named peers broadcast at the same instant, some of them
// what is too large for gossip.
func (l *lab) everybodySends(sent map[int][]string, round int, peers ...int) {
	l.t.Helper()
	for _, i := range peers {
		text := fmt.Sprintf("%d/%d", i, round)
		if (i+round)%4 == 2 {
			text += strings.Repeat(".", 6000)
		}
		sent[i] = append(sent[i], text)
		go func() {
			if _, err := l.Meshes[i].Broadcast(l.Ctx(), text); err != nil {
				l.t.Error(err)
			}
		}()
	}
}

func upTo(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}

// connectAll joins everybody to a few others.
func (l *lab) connectAll(seed uint64) {
	l.t.Helper()
	n := len(l.Meshes)
	for i := 1; i < n; i++ {
		l.Connect(i, int((seed+uint64(i)*7)%uint64(i)))
	}
	meshtest.Pass(5 * time.Second)
}

func TestEverybodyAtOnce(t *testing.T) {
	const n = 40
	testnet.Run(t, func(t *testing.T, seed uint64) {
		l := newLab(t, seed, n, nil)
		l.connectAll(seed)
		sent := map[int][]string{}
		for round := range rounds(5, 1000) {
			l.everybodySends(sent, round, upTo(n)...)
			meshtest.Pass(time.Second)
		}
		meshtest.Pass(20 * time.Second)
		l.exactlyOnce(sent, upTo(n)...)
	})
}

// overBadLinks has everybody broadcast while a third of all packets get lost.
func (l *lab) overBadLinks(seed uint64, n int) {
	l.t.Helper()
	l.connectAll(seed)
	l.Loss(0.3)
	sent := map[int][]string{}
	for round := range rounds(3, 100) {
		l.everybodySends(sent, round, upTo(n)...)
		meshtest.Pass(2 * time.Second)
	}
	l.Loss(0)
	meshtest.Pass(40 * time.Second)
	l.exactlyOnce(sent, upTo(n)...)
}

// Clocks that are a day off on a third of the peers change nothing but what is shown.
func TestEverybodyWithWrongClocks(t *testing.T) {
	const n = 12
	testnet.Run(t, func(t *testing.T, seed uint64) {
		l := bareLab(t, seed, n)
		off := map[peer.ID]time.Duration{}
		for i, h := range l.Hosts {
			off[h.ID()] = []time.Duration{0, 24 * time.Hour, 0, 0, -24 * time.Hour, 0}[i%6]
		}
		l.off = off
		for i := range n {
			l.Join(i, "lab", nil)
		}
		l.overBadLinks(seed, n)
		for i, m := range l.Meshes {
			for _, p := range m.Peers() {
				want := off[p.ID] - off[l.Hosts[i].ID()]
				if d := p.Skew - want; d.Abs() > time.Second {
					t.Errorf("%d shows a skew of %v, not %v", i, p.Skew, want)
				}
			}
		}
		for _, ev := range l.events[0] {
			if ev.Kind != mesh.EventMessage {
				continue
			}
			if age := time.Since(ev.Message.Time) + off[ev.Message.From]; age < 0 || age > time.Hour {
				t.Fatalf("a message shows %v", ev.Message.Time)
			}
		}
	})
}

func TestEverybodyOverBadLinks(t *testing.T) {
	const n = 40
	testnet.Run(t, func(t *testing.T, seed uint64) {
		l := newLab(t, seed, n, nil)
		l.overBadLinks(seed, n)
	})
}

// A partition that heals inside of the window.
func TestEverybodyAcrossAPartition(t *testing.T) {
	const n = 12
	testnet.Run(t, func(t *testing.T, seed uint64) {
		for range rounds(1, 100) {
			l := newLab(t, seed, n, nil)
			l.connectAll(seed)
			sent := map[int][]string{}
			l.Cut(0, 1, 2, 3, 4)
			for round := range 6 {
				l.everybodySends(sent, round, upTo(n)...)
				meshtest.Pass(2 * time.Second)
			}
			l.Cut()
			meshtest.Pass(45 * time.Second)
			l.everybodySends(sent, 6, upTo(n)...)
			meshtest.Pass(20 * time.Second)
			l.exactlyOnce(sent, upTo(n)...)
			for _, m := range l.Meshes {
				m.Close()
			}
			l.Net.Close()
		}
	})
}

// Who joins late gets what was sent in the minute before; who leaves disturbs nobody.
func TestJoinersAndLeavers(t *testing.T) {
	const n = 12
	testnet.Run(t, func(t *testing.T, seed uint64) {
		l := bareLab(t, seed, n)
		for i := range n - 2 {
			l.Join(i, "lab", nil)
			if i > 0 {
				l.Connect(i, i-1)
			}
		}
		meshtest.Pass(2 * time.Second)
		sent := map[int][]string{}
		for round := range 5 {
			l.everybodySends(sent, round, upTo(n-2)...)
			meshtest.Pass(time.Second)
		}
		for i := n - 2; i < n; i++ {
			l.Join(i, "lab", nil)
			l.Connect(i, i-2)
		}
		l.Meshes[3].Close()
		l.Kill(4)
		l.Meshes[4].Close()
		staying := slices.DeleteFunc(upTo(n), func(i int) bool { return i == 3 || i == 4 })
		for round := 5; round < 10; round++ {
			l.everybodySends(sent, round, staying...)
			meshtest.Pass(time.Second)
		}
		meshtest.Pass(30 * time.Second)
		l.exactlyOnce(sent, staying...)
	})
}

// What was broadcast before Close is heard, and many at once go out in few batches.
func TestBroadcastAndClose(t *testing.T) {
	testnet.Run(t, func(t *testing.T, seed uint64) {
		l := newLab(t, seed, 2, nil)
		l.Connect(0, 1)
		sent := map[int][]string{}
		for i := range 1000 {
			text := fmt.Sprint(i)
			sent[0] = append(sent[0], text)
			if _, err := l.Meshes[0].Broadcast(l.Ctx(), text); err != nil {
				t.Fatal(err)
			}
		}
		meshtest.Pass(0)
		start := time.Now()
		l.Meshes[0].Close()
		if d := time.Since(start); d > 3*time.Second {
			t.Errorf("closing took %v", d)
		}
		meshtest.Pass(0)
		l.exactlyOnce(sent, 1)

		start = time.Now()
		l.Meshes[1].Close()
		if d := time.Since(start); d > 100*time.Millisecond {
			t.Errorf("with nothing to flush closing took %v", d)
		}
	})
}

// Neighbours say when they have a broadcast: soon, late if it was lost at first, and
// not at all if they are gone.
func TestDelivered(t *testing.T) {
	testnet.Run(t, func(t *testing.T, seed uint64) {
		l := newLab(t, seed, 4, nil)
		for i := 1; i < 4; i++ {
			l.Connect(0, i)
		}
		meshtest.Pass(2 * time.Second)
		for _, text := range []string{"small", strings.Repeat("large", 2000)} {
			r, err := l.Meshes[0].Broadcast(l.Ctx(), text)
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			if n, err := l.Meshes[0].Delivered(l.Ctx(), r); n != 3 || err != nil || time.Since(start) > time.Second {
				t.Errorf("%d neighbours have it after %v: %v", n, time.Since(start), err)
			}
		}
		l.Cut(3)
		r, err := l.Meshes[0].Broadcast(l.Ctx(), "cut")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(l.Ctx(), time.Second)
		defer cancel()
		if n, err := l.Meshes[0].Delivered(ctx, r); n != 2 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%d neighbours have it while one is cut off: %v", n, err)
		}
		if n, err := l.Meshes[0].Delivered(l.Ctx(), r); n != 2 || err != nil {
			t.Errorf("%d neighbours have it when that one is given up: %v", n, err)
		}
		if _, err := l.Meshes[0].Delivered(l.Ctx(), mesh.Receipt{}); err == nil {
			t.Error("an empty receipt was accepted")
		}
	})
}

// Members that reach each other only by way of a relay get everything, and connect
// directly as soon as they can.
func TestBehindARelay(t *testing.T) {
	testnet.Run(t, func(t *testing.T, seed uint64) {
		l := newLab(t, seed, 4, nil)
		l.Block(0, 2, true)
		l.Connect(0, 1)
		l.Connect(2, 1)
		l.Connect(3, 1)
		if _, err := client.Reserve(l.Ctx(), l.Hosts[2], l.Info(1)); err != nil {
			t.Fatal(err)
		}
		way := ma.StringCast(fmt.Sprintf("%s/p2p/%s/p2p-circuit", l.Hosts[1].Addrs()[0], l.Hosts[1].ID()))
		relayed := peer.AddrInfo{ID: l.Hosts[2].ID(), Addrs: []ma.Multiaddr{way}}
		if err := l.Meshes[0].Connect(l.Ctx(), relayed); err != nil {
			t.Fatal(err)
		}
		pathOf := func() string {
			for _, p := range l.Meshes[0].Peers() {
				if p.ID == relayed.ID {
					return p.Path
				}
			}
			return "none"
		}
		if got := pathOf(); got != mesh.PathRelay {
			t.Errorf("path %s", got)
		}
		l.Meshes[1].Close() // the relay goes on, but no member stands between
		l.Meshes[3].Close()
		meshtest.Pass(5 * time.Second)
		sent := map[int][]string{0: nil, 2: nil}
		for round := range 3 {
			l.everybodySends(sent, round, 0, 2)
			meshtest.Pass(time.Second)
		}
		if err := l.Meshes[0].Whisper(l.Ctx(), relayed.ID, "whispered"); err != nil {
			t.Error(err)
		}
		meshtest.Pass(3 * time.Second)
		l.got[2] = slices.DeleteFunc(l.got[2], func(text string) bool { return text == "whispered" })
		l.exactlyOnce(sent, 0, 2)
		for _, i := range []int{0, 2} {
			if n := l.Meshes[i].Status().RepairedBroadcasts; n != 0 {
				t.Errorf("%d was pushed nothing and fetched %d", i, n)
			}
		}

		l.Block(0, 2, false)
		meshtest.Pass(2 * time.Minute)
		if got := pathOf(); got != mesh.PathDirect {
			t.Errorf("path %s with the way free", got)
		}
		l.everybodySends(sent, 3, 0, 2)
		meshtest.Pass(3 * time.Second)
		l.exactlyOnce(sent, 0, 2)
	})
}
