package compat

import (
	"errors"
	"testing"
	"time"
)

// A node that connects to a node which has dialled it keeps that connection. There is no second one; or, if the other
// does not show that it is the same node, one of the two stays.
func TestDialer_KeepsOneConnectionWithANode(t *testing.T) {
	opts := Options{Kind: Mesh, Version: "0.7", Listen: "127.0.0.1:0", HelloDelay: 50 * time.Millisecond}
	for i := range 4 { // with IDs in either order
		elsewhere := opts
		if i%2 == 0 {
			elsewhere.Advertise = "192.0.2.1:4444"
		}
		a, b := open(t, opts), open(t, elsewhere)
		if err := b.Connect(t.Context(), a.Addr()); err != nil {
			t.Fatal(err)
		}
		if err := a.Connect(t.Context(), b.Addr()); err != nil {
			t.Errorf("to a node that is connected: %v", err)
		}
		if outgoing := a.Peers()[0].Outgoing; outgoing && elsewhere.Advertise == "" {
			t.Error("it was dialled")
		}
		eventually(t, "one connection", func() bool { return len(a.Peers()) == 1 && len(b.Peers()) == 1 })
		if err := b.Disconnect(a.ID()); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it is dialled again", func() bool { return len(a.Peers()) == 1 && a.Peers()[0].Outgoing })
		if err := a.Disconnect(b.ID()); err != nil {
			t.Fatal(err)
		}
		eventually(t, "nobody keeps it", func() bool {
			kept := 0
			for _, n := range []*MeshNode{a, b} {
				n.dialer.mu.Lock()
				kept += len(n.dialer.kept)
				n.dialer.mu.Unlock()
			}
			return kept+a.conns.len()+b.conns.len() == 0
		})
	}
}

// A connection that is lost is dialled again, until it is given up; two nodes that dial
// each other at once end with one connection.
func TestDialer_DialsLostNodesAgain(t *testing.T) {
	opts := Options{Kind: Mesh, Version: "0.7", Listen: "127.0.0.1:0", HelloDelay: 50 * time.Millisecond}
	a, b := open(t, opts), open(t, opts)
	if err := a.Connect(t.Context(), a.Addr()); !errors.Is(err, ErrSelf) {
		t.Errorf("with itself: %v", err)
	}
	done := make(chan error, 2)
	go func() { done <- a.Connect(t.Context(), b.Addr()) }()
	go func() { done <- b.Connect(t.Context(), a.Addr()) }()
	for range 2 {
		if err := <-done; err != nil && !errors.Is(err, ErrTwice) {
			t.Logf("one of two at once: %v", err)
		}
	}
	eventually(t, "one connection", func() bool {
		return len(a.Peers()) == 1 && len(b.Peers()) == 1 && a.conns.len() == 1
	})
	addr := b.Addr()
	b.Close()
	eventually(t, "it is gone", func() bool { return len(a.Peers()) == 0 })
	opts.Listen = addr
	c := open(t, opts)
	eventually(t, "another is there in its place", func() bool {
		return len(a.Peers()) == 1 && a.Peers()[0].ID == c.ID() || a.Connect(t.Context(), addr) == nil
	})
	if err := a.Disconnect(c.ID()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "disconnected", func() bool { return len(c.Peers()) == 0 })
}

// With Autodial a node connects to those of whom it hears; without, it does not.
func TestAutodial_DialsNodesOfWhomOthersTell(t *testing.T) {
	opts := Options{Kind: Mesh, Version: "0.7", HelloDelay: 50 * time.Millisecond}
	nodes := line(t, 2, opts)
	opts.Autodial = true
	n := open(t, opts)
	if err := n.Connect(t.Context(), nodes[0].Addr()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is connected with both", func() bool { return len(n.Peers()) == 2 })
}
