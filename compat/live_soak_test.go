package compat

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/p2p-today/go2p/internal/oldpeers"
)

// Links with py and js of 0.7 stay up under traffic while others come and go: for half a
// minute, or with GO2P_LONG=1 for ten.
func TestOldSoak_LinksStayUpUnderTraffic(t *testing.T) {
	length := 30 * time.Second
	if os.Getenv("GO2P_LONG") == "1" {
		length = 10 * time.Minute
	}
	host := oldpeers.OwnHost()
	oldpeers.FreePort(t, host)
	n := openSync(t, Options{Kind: Sync, Version: "0.7", Listen: host + ":0"})
	// They say that they are where nobody is: old nodes that are connected with each other lose
	// more links when one leaves than are under test here.
	aside := map[string]any{"kind": "sync", "out": map[string]any{"addr": oldpeers.OwnHost(), "port": 1}}
	var olds []*oldpeers.Node
	for _, language := range []string{"py", "js"} {
		o := oldpeers.Start(t, language, "0.7", aside)
		o.Connect(n.Addr())
		olds = append(olds, o)
	}
	eventually(t, "both are there", func() bool { return len(n.Peers()) == 2 })
	since := map[string]time.Time{}
	for _, p := range n.Peers() {
		since[p.ID] = p.Since
	}
	messages := collect(t, n.MeshNode)
	visitors, sent := 0, 0
	var visitor *oldpeers.Node
	for start := time.Now(); time.Since(start) < length; {
		if sent%50 == 25 { // somebody comes, or leaves
			if visitor == nil {
				visitor = oldpeers.Start(t, []string{"js", "py"}[visitors%2], "0.7", aside)
				visitor.Connect(n.Addr())
				visitors++
			} else {
				visitor.Must("close", nil)
				visitor = nil
			}
		}
		// One node speaks at a time: the threads of a py node share a set without a lock, so that one
		// that sends while others do may close all that it has.
		text := fmt.Sprint("message ", sent)
		if err := n.Send(t.Context(), "go "+text); err != nil {
			t.Fatal(err)
		}
		key := fmt.Sprint("go ", sent%20)
		if err := n.Set(t.Context(), key, text); err != nil {
			t.Fatal(err)
		}
		for _, o := range olds {
			o.Message("go " + text)
			o.Wait(key, func() bool { return o.Get(key) == text })
		}
		for i, o := range olds {
			time.Sleep(20 * time.Millisecond) // for what it may still be passing on
			said, key := fmt.Sprint(i, " ", text), fmt.Sprint(i, " ", sent%20)
			o.Must("send", map[string]any{"packets": []any{said}})
			olds[1-i].Message(said)
			eventually(t, said, func() bool { return len(messages(said)) > 0 })
			o.Must("set", map[string]any{"key": key, "value": text})
			eventually(t, key, func() bool { return held(t, n, key) == text })
		}
		sent++
	}
	if visitor != nil {
		visitor.Must("close", nil)
	}
	eventually(t, "the last has left", func() bool { return len(n.Peers()) == 2 })
	for _, p := range n.Peers() {
		if !since[p.ID].Equal(p.Since) {
			t.Errorf("the link with %s %s is a new one", p.Language, p.ID)
		}
	}
	for _, o := range olds {
		if status := fmt.Sprint(o.Must("status", nil)["status"]); strings.Contains(status, n.ID()) {
			t.Errorf("%s has had an error with this node: %s", o.Name, status)
		}
	}
	t.Logf("%d messages of each in %v, %d visitors; dropped %v", sent, length, visitors, n.Dropped())
}
