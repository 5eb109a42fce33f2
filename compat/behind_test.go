package compat

import (
	"fmt"
	"slices"
	"testing"

	"github.com/p2p-today/go2p/compat/internal/legacy"
)

// An old node that is behind another one gets what is meant for it: others are asked where
// it is, and it is dialled. That is so for whispers, and for what a bridge says in its name.
func TestOldBehind(t *testing.T) {
	installed(t)
	for _, l := range []way{{"py", "0.4", Plaintext, false}, {"py", "0.5", Plaintext, false}, {"py", "0.6", Plaintext, false}, {"py", "0.7", Plaintext, false}, {"js", "0.7", Plaintext, false}} {
		t.Run(l.language+" "+l.version, func(t *testing.T) {
			t.Parallel()
			needs(t, l.language, l.version)
			first := startOld(t, "py", l.version, map[string]any{"kind": "sync"})
			second := startOld(t, l.language, l.version, map[string]any{"kind": "sync"})
			second.connect(first.addr)
			connected := func() bool {
				return slices.Contains(first.peers(), second.id) && slices.Contains(second.peers(), first.id)
			}
			eventually(t, "the old ones are connected", connected)
			node := func() *SyncNode {
				n := openSync(t, Options{Kind: Sync, Version: l.version})
				if err := n.Connect(t.Context(), first.addr); err != nil {
					t.Fatal(err)
				}
				return n
			}
			n := node()
			second.must("set", map[string]any{"key": "key", "value": "its own"})
			first.wait("the key", func() bool { return first.get("key") == "its own" })
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
			for _, o := range []*old{first, second} {
				o.wait("another value", func() bool { return o.get("key") == "another" })
			}
			n = node()
			for i := range 3 {
				if err := n.Whisper(t.Context(), second.id, fmt.Sprint("whisper ", i)); err != nil {
					t.Fatal(err)
				}
			}
			for i := range 3 {
				second.message(fmt.Sprint("whisper ", i))
			}
			if !connected() {
				t.Error("the old ones are not connected any more")
			}
		})
	}
}
