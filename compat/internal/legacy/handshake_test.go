package legacy

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

// This node understands the first words of each old node, and answers them once. It tells nodes of another network
// nothing except goodbye.
func TestHandshake_OldNodesAreAnsweredOnce(t *testing.T) {
	var file struct {
		Rows []struct {
			Node, Socket string
			Sent         []struct{ Frame string } `json:"sent_on_accept"`
			Reply        []struct{ Frame string }
		}
	}
	load(t, "handshakes.json", &file)
	for _, r := range file.Rows {
		name := r.Node + " " + r.Socket
		version := strings.Fields(r.Node)[1]
		kind := Kind(strings.TrimSuffix(r.Socket, "seed"))
		if kind == "ford" {
			kind = Mesh
		}
		v, err := wire.ParseVersion(version)
		if err != nil {
			t.Fatal(err)
		}
		network := Network{Kind: kind, Version: v, Subnet: strings.TrimSuffix(r.Socket, "seed"), Transport: Plaintext, K: 3}
		c := rigIn(network)
		for _, outgoing := range []bool{true, false} {
			s := c.open(outgoing)
			for _, f := range append(r.Sent, r.Reply...) {
				c.receive(s, body(t, f.Frame))
			}
			if len(c.done.Endings) > 0 || !s.greeted || !s.spoken {
				t.Errorf("%s: greeted %v, spoken %v, %v", name, s.greeted, s.spoken, c.done.Endings)
				c.done.Endings = nil
			}
			if want := strings.Fields(r.Node)[0]; s.peer.Language.String() != want {
				t.Errorf("%s is %s", name, s.peer.Language)
			}
			greetings := 0
			for _, m := range c.drain(t, s) {
				if isGreeting(m) {
					greetings++
				}
			}
			if greetings != 1 {
				t.Errorf("%s is greeted %d times", name, greetings)
			}
			c.Closed(frozen, s, errLeft)
		}
		// A node of another network is told goodbye if it is py, and otherwise nothing.
		network.Subnet = "another"
		c = rigIn(network)
		s := c.open(true)
		for _, f := range append(r.Sent, r.Reply...) {
			c.receive(s, body(t, f.Frame))
		}
		var refused *RefusedError
		if len(c.done.Endings) != 1 || !errors.As(c.done.Endings[0].Why, &refused) || refused.Matches == "" || refused.Version != version {
			t.Errorf("%s: of another network: %v", name, c.done.Endings)
		}
		if told := c.drain(t, s); c.net.Kind == Chord && v == wire.V4 {
			continue
		} else if s.peer.Language == wire.JavaScript && len(told) > 0 {
			t.Errorf("%s: is told %v", name, told[0])
		} else if s.peer.Language == wire.Python && (len(told) != 1 || !parts(told[0])) {
			t.Errorf("%s: is told %v", name, told)
		}
	}
	if len(file.Rows) == 0 {
		t.Error("no rows")
	}
}

// parts tells whether a message is the last one.
func parts(m *wire.Message) bool {
	g, err := m.Version.ParseGreeting(m.Args())
	return err == nil && m.Sub() == wire.Handshake && g.SubnetID == nowhere
}

// Nobody may hold a connection without saying who it is.
func TestHandshake_SilentNodesAreRefused(t *testing.T) {
	c := newRig(t, "0.7", Mesh)
	s := c.open(false)
	c.advanceSession(frozen.Add(2*time.Second), s)
	if !s.spoken {
		t.Error("it says nothing to a node that says nothing")
	}
	c.advanceSession(frozen.Add(GreetTime-time.Second), s)
	if s.over {
		t.Error("over too early")
	}
	c.advanceSession(frozen.Add(GreetTime), s)
	if !s.over || c.look().Endings[0].Why != ErrSilent {
		t.Errorf("a silent one: %v", c.done.Endings)
	}
}
