package compat

import (
	"fmt"
	"slices"
	"testing"

	"github.com/p2p-today/go2p/internal/oldpeers"
)

// A way is how a node and an old one are connected.
type way struct {
	language, version string
	transport         Transport
	oldDials          bool
}

func (l way) String() string {
	who := "go dials"
	if l.oldDials {
		who = l.language + " dials"
	}
	return fmt.Sprintf("%s %s %s %s", l.language, l.version, l.transport, who)
}

// ways are all ways to be connected that the old software itself has.
func ways() (list []way) {
	for _, version := range []string{"0.4", "0.5", "0.6", "0.7"} {
		for _, dials := range []bool{false, true} {
			for _, transport := range []Transport{Plaintext, SSL} {
				list = append(list, way{language: "py", version: version, transport: transport, oldDials: dials})
			}
			if version == "0.7" {
				for _, transport := range []Transport{Plaintext, WebSocket, SSL} {
					list = append(list, way{language: "js", version: version, transport: transport, oldDials: dials})
				}
			}
		}
	}
	return list
}

// listening are the options of a node that an old one can dial.
func listening(t testing.TB, l way, kind Kind) Options {
	host := oldpeers.OwnHost()
	oldpeers.FreePort(t, host)
	return Options{Kind: kind, Version: l.version, Transport: l.transport, Listen: host + ":0"}
}

// pairWith starts an old node and connects it with another one.
func pairWith(t testing.TB, l way, n *MeshNode, kind Kind) *oldpeers.Node {
	t.Helper()
	o := oldpeers.Start(t, l.language, l.version, map[string]any{"kind": string(kind), "encryption": string(l.transport)})
	connectPair(t, l, n, o)
	return o
}

func connectPair(t testing.TB, l way, n *MeshNode, o *oldpeers.Node) {
	t.Helper()
	if l.oldDials {
		o.Connect(n.Addr())
	} else if err := n.Connect(t.Context(), o.Addr); err != nil {
		t.Fatal(err)
	}
	eventually(t, "connected", func() bool { return len(n.Peers()) == 1 && slices.Contains(o.Peers(), n.ID()) })
}

func TestOldMesh_MessagesGoBothWays(t *testing.T) {
	for _, l := range ways() {
		t.Run(l.String(), func(t *testing.T) {
			t.Parallel()
			record(t, l, "mesh")
			oldpeers.Needs(t, l.language, l.version)
			n := open(t, listening(t, l, Mesh))
			o := pairWith(t, l, n, Mesh)
			if p := n.Peers()[0]; p.ID != o.ID || p.Language != l.language {
				t.Errorf("the old node is %+v, not %s", p, o.ID)
			}
			messages := collect(t, n)
			if err := n.Send(t.Context(), "broadcast of go"); err != nil {
				t.Fatal(err)
			}
			if _, count := o.Message("broadcast of go"); count != 1 {
				t.Errorf("it came %d times", count)
			}
			o.Must("send", map[string]any{"packets": []any{"broadcast of old"}})
			eventually(t, "the broadcast", func() bool { return len(messages("broadcast of old")) > 0 })
			m := messages("broadcast of old")[0]
			if m.From != o.ID || m.Kind != KindBroadcast {
				t.Errorf("%+v", m)
			}
			if err := n.Reply(t.Context(), m, "reply of go"); err != nil {
				t.Fatal(err)
			}
			o.Message("reply of go")
			o.Must("whisper", map[string]any{"to": n.ID(), "packets": []any{"whisper of old"}})
			eventually(t, "the whisper", func() bool { return len(messages("whisper of old")) > 0 })
			if m := messages("whisper of old")[0]; m.Kind != KindWhisper {
				t.Errorf("%+v", m)
			}
			if err := n.Whisper(t.Context(), o.ID, "whisper of go"); err != nil {
				t.Fatal(err)
			}
			o.Message("whisper of go")
			o.Must("request_peers", nil)
			o.Must("reply", map[string]any{"packets": []any{"reply of old"}})
			eventually(t, "the reply", func() bool { return len(messages("reply of old")) > 0 })
			for i := range 200 { // many at once
				if err := n.Send(t.Context(), fmt.Sprint("many ", i)); err != nil {
					t.Fatal(err)
				}
			}
			for i := range 200 {
				if _, count := o.Message(fmt.Sprint("many ", i)); count != 1 {
					t.Errorf("%d came %d times", i, count)
				}
			}
			if len(n.Peers()) != 1 || !slices.Contains(o.Peers(), n.ID()) {
				t.Error("the link is lost")
			}
		})
	}
}
