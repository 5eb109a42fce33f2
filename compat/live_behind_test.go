package compat

import (
	"fmt"
	"slices"
	"testing"

	"github.com/p2p-today/go2p/compat/internal/legacy"
	"github.com/p2p-today/go2p/internal/oldpeers"
)

// An old node that is behind another one gets what is meant for it: others are asked where
// it is, and it is dialled. That is so for whispers, and for what a bridge says in its name.
func TestOldBehind_NodesAreReached(t *testing.T) {
	oldpeers.Installed(t)
	for _, l := range []way{
		{language: "py", version: "0.4", transport: Plaintext},
		{language: "py", version: "0.5", transport: Plaintext},
		{language: "py", version: "0.6", transport: Plaintext},
		{language: "py", version: "0.7", transport: Plaintext},
		{language: "js", version: "0.7", transport: Plaintext},
	} {
		t.Run(l.language+" "+l.version, func(t *testing.T) {
			t.Parallel()
			oldpeers.Needs(t, l.language, l.version)
			first := oldpeers.Start(t, "py", l.version, map[string]any{"kind": "sync"})
			second := oldpeers.Start(t, l.language, l.version, map[string]any{"kind": "sync"})
			second.Connect(first.Addr)
			connected := func() bool {
				return slices.Contains(first.Peers(), second.ID) && slices.Contains(second.Peers(), first.ID)
			}
			eventually(t, "the old ones are connected", connected)
			node := func() *SyncNode {
				n := openSync(t, Options{Kind: Sync, Version: l.version})
				if err := n.Connect(t.Context(), first.Addr); err != nil {
					t.Fatal(err)
				}
				return n
			}
			n := node()
			second.Must("set", map[string]any{"key": "key", "value": "its own"})
			first.Wait("the key", func() bool { return first.Get("key") == "its own" })
			eventually(t, "the key", func() bool { return fmt.Sprintf("%s", held(t, n, "key")) == "its own" })
			value, err := legacy.FromGo(n.network.Version, []any{"another"})
			if err != nil {
				t.Fatal(err)
			}
			was, _, _ := n.Impersonator().Look("key", "", 0)
			e := was
			e.Value = value[0]
			if err := n.Impersonator().Mirror("key", was, e); err != nil {
				t.Fatal(err)
			}
			for _, o := range []*oldpeers.Node{first, second} {
				o.Wait("another value", func() bool { return o.Get("key") == "another" })
			}
			n = node()
			for i := range 3 {
				if err := n.Whisper(t.Context(), second.ID, fmt.Sprint("whisper ", i)); err != nil {
					t.Fatal(err)
				}
			}
			for i := range 3 {
				second.Message(fmt.Sprint("whisper ", i))
			}
			if !connected() {
				t.Error("the old ones are not connected any more")
			}
		})
	}
}
