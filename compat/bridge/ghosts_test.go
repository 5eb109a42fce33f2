package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/p2p-today/go2p/compat"
	"github.com/p2p-today/go2p/compat/internal/wire"
)

// A simNetwork is an old network as ghosts see it: one old node, which lets ghosts in, or does not.
type simNetwork struct {
	refuses bool

	mu      sync.Mutex
	dials   []string // who has dialled
	open    map[string]bool
	receive map[string]func(compat.Message)
}

func (net *simNetwork) peers() []compat.Peer {
	return []compat.Peer{{ID: "old", Addr: "127.0.0.1:1"}, {ID: "does not listen"}}
}

func (net *simNetwork) openGhost(_ context.Context, id string, receive func(compat.Message)) (ghostNode, error) {
	net.mu.Lock()
	defer net.mu.Unlock()
	net.open[id], net.receive[id] = true, receive
	return &simGhost{simNetwork: net, id: id}, nil
}

type simGhost struct {
	*simNetwork
	id    string
	peers []compat.Peer
}

func (n *simGhost) Peers() []compat.Peer {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.peers
}

func (n *simGhost) Dial(context.Context, string) error {
	time.Sleep(100 * time.Millisecond)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dials = append(n.dials, n.id)
	if n.refuses {
		return errors.New("refused")
	}
	n.peers = []compat.Peer{{ID: "old"}}
	return nil
}

func (n *simGhost) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.open, n.id)
	return nil
}

func newSimNetwork() (*simNetwork, *ghosts) {
	net := &simNetwork{open: map[string]bool{}, receive: map[string]func(compat.Message){}}
	log := slog.New(slog.DiscardHandler)
	return net, newGhosts(network{subnet: "s", id: "s", version: wire.V7}, net.peers, net.openGhost, newCounters(log), log)
}

func nobody(string, compat.Message) {}

func TestGhosts_AreConnectedBeforeTheFirstMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, gs := newSimNetwork()
		var from string
		gs.ensure(t.Context(), "anna", func(author string, m compat.Message) { from = author + " " + m.From })
		if len(net.dials) != 1 || gs.len() != 1 {
			t.Errorf("%d dials, %d ghosts", len(net.dials), gs.len())
		}
		net.receive[gs.network.ghost("anna")](compat.Message{From: "old"})
		if from != "anna old" {
			t.Errorf("the reply came as %q", from)
		}
		gs.ensure(t.Context(), "anna", nobody)
		if len(net.dials) != 1 {
			t.Errorf("a known author's ghost has dialled again: %v", net.dials)
		}
		gs.tend(t.Context(), true)
		synctest.Wait()
		if len(net.dials) != 1 {
			t.Errorf("a connected ghost has dialled again: %v", net.dials)
		}
		gs.close()
		if len(net.open) != 0 {
			t.Errorf("%d are open", len(net.open))
		}
	})
}

func TestGhosts_AreBoundedAndSilentOnesGiveWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, gs := newSimNetwork()
		for i := range maxGhosts + 2 {
			gs.ensure(t.Context(), fmt.Sprint("author ", i), nobody)
		}
		if gs.len() != maxGhosts || gs.counters.dropped[DropAuthors] != 2 {
			t.Errorf("%d ghosts, dropped %v", gs.len(), gs.counters.dropped.Map())
		}
		time.Sleep(ghostTime)
		gs.ensure(t.Context(), "author 1", nobody) // is heard again
		time.Sleep(time.Second)
		gs.ensure(t.Context(), "late", nobody)
		if gs.len() != maxGhosts || net.open[gs.network.ghost("author 0")] || !net.open[gs.network.ghost("late")] {
			t.Error("the silent one has not given way")
		}
		gs.tend(t.Context(), true)
		if gs.len() != 2 {
			t.Errorf("%d have been heard lately", gs.len())
		}
		gs.tend(t.Context(), false)
		if gs.len() != 0 {
			t.Errorf("%d stay where another bridge is elected", gs.len())
		}
		gs.close()
	})
}

func TestGhosts_DialAgainAfterAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, gs := newSimNetwork()
		net.refuses = true
		gs.ensure(t.Context(), "anna", nobody)
		for range 3 * int(retryTime/time.Second) {
			time.Sleep(time.Second)
			gs.tend(t.Context(), true)
		}
		gs.close()
		if n := len(net.dials); n != 3 && n != 4 {
			t.Errorf("%d dials in %v", n, 3*retryTime)
		}
	})
}
