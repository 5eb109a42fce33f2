package compat

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"
)

// Three nodes, each connected with the others: everybody hears everything once, and what
// one node passes on is to the byte what it got.
func TestOldTriangle(t *testing.T) {
	for _, languages := range [][2]string{{"py", "py"}, {"py", "js"}, {"js", "js"}} {
		t.Run(fmt.Sprint(languages), func(t *testing.T) {
			t.Parallel()
			host := ownHost()
			freePort(t, host)
			n := open(t, Options{Kind: Mesh, Version: "0.7", Listen: host + ":0"})
			var olds []*old
			for _, language := range languages {
				olds = append(olds, startOld(t, language, "0.7", map[string]any{"kind": "mesh"}))
			}
			olds[0].connect(olds[1].addr)
			eventually(t, "the old ones are connected", func() bool {
				return slices.Contains(olds[0].peers(), olds[1].id) && slices.Contains(olds[1].peers(), olds[0].id)
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
					o.message(fmt.Sprint("go ", i))
				}
				for j, o := range olds {
					text := fmt.Sprint("old ", j, " ", i)
					o.must("send", map[string]any{"packets": []any{text}})
					olds[1-j].message(text)
					eventually(t, text, func() bool { return len(messages(text)) > 0 })
				}
			}
			time.Sleep(300 * time.Millisecond) // for what might come twice
			for i := range 20 {
				for j, o := range olds {
					if _, count := o.heard(fmt.Sprint("go ", i)); count != 1 {
						t.Errorf("%s heard message %d of go %d times", o.name, i, count)
					}
					// An old node stamps a message anew for each of its neighbours: if a second
					// passes meanwhile it is two messages.
					text := fmt.Sprint("old ", j, " ", i)
					ids := map[string]bool{}
					for _, m := range messages(text) {
						if ids[m.ID] {
							t.Errorf("go heard message %d of %s twice", i, o.name)
						}
						ids[m.ID] = true
					}
					if _, count := olds[1-j].heard(text); count > len(ids) {
						t.Errorf("%s heard message %d of the other %d times, go %d", olds[1-j].name, i, count, len(ids))
					}
				}
			}
		})
	}
}

// connectPair2 connects a node to an old one beside others.
func connectPair2(t testing.TB, n *MeshNode, o *old) {
	t.Helper()
	before := len(n.Peers())
	eventually(t, "connected", func() bool {
		return len(n.Peers()) > before || n.Connect(context.Background(), o.addr) == nil
	})
}
