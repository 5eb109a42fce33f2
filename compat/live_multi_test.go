package compat

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/p2p-today/go2p/internal/oldpeers"
)

// Three nodes, each connected with the others: everybody hears everything once, and what
// one node passes on is to the byte what it got.
func TestOldTriangle_EverybodyHearsAllOnce(t *testing.T) {
	for _, languages := range [][2]string{{"py", "py"}, {"py", "js"}, {"js", "js"}} {
		t.Run(fmt.Sprint(languages), func(t *testing.T) {
			t.Parallel()
			host := oldpeers.OwnHost()
			oldpeers.FreePort(t, host)
			n := open(t, Options{Kind: Mesh, Version: "0.7", Listen: host + ":0"})
			var olds []*oldpeers.Node
			for _, language := range languages {
				olds = append(olds, oldpeers.Start(t, language, "0.7", map[string]any{"kind": "mesh"}))
			}
			olds[0].Connect(olds[1].Addr)
			eventually(t, "the old ones are connected", func() bool {
				return slices.Contains(olds[0].Peers(), olds[1].ID) && slices.Contains(olds[1].Peers(), olds[0].ID)
			})
			for _, o := range olds {
				connectPair2(t, n, o)
			}
			messages := collect(t, n)
			for i := range 20 { // one at a time: between themselves, old nodes lose what comes at once
				if err := n.Send(t.Context(), fmt.Sprint("go ", i)); err != nil {
					t.Fatal(err)
				}
				for _, o := range olds {
					o.Message(fmt.Sprint("go ", i))
				}
				for j, o := range olds {
					text := fmt.Sprint("old ", j, " ", i)
					o.Must("send", map[string]any{"packets": []any{text}})
					olds[1-j].Message(text)
					eventually(t, text, func() bool { return len(messages(text)) > 0 })
				}
			}
			time.Sleep(300 * time.Millisecond) // for what might come twice
			for i := range 20 {
				for j, o := range olds {
					if _, count := o.Heard(fmt.Sprint("go ", i)); count != 1 {
						t.Errorf("%s heard message %d of go %d times", o.Name, i, count)
					}
					// An old node stamps a message anew for each of its neighbours: if a second
					// passes meanwhile it is two messages.
					text := fmt.Sprint("old ", j, " ", i)
					ids := map[string]bool{}
					for _, m := range messages(text) {
						if ids[m.ID] {
							t.Errorf("go heard message %d of %s twice", i, o.Name)
						}
						ids[m.ID] = true
					}
					if _, count := olds[1-j].Heard(text); count > len(ids) {
						t.Errorf("%s heard message %d of the other %d times, go %d", olds[1-j].Name, i, count, len(ids))
					}
				}
			}
		})
	}
}

// connectPair2 connects a node to an old one beside others.
func connectPair2(t testing.TB, n *MeshNode, o *oldpeers.Node) {
	t.Helper()
	before := len(n.Peers())
	eventually(t, "connected", func() bool {
		return len(n.Peers()) > before || n.Connect(context.Background(), o.Addr) == nil
	})
}
