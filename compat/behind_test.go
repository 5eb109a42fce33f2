package compat

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
)

// An old node that is behind another one gets what is meant for it: it is asked for where
// it is, and dialled.
func TestOldBehind(t *testing.T) {
	installed(t)
	for _, l := range []way{{"py", "0.4", Plaintext, false}, {"py", "0.5", Plaintext, false}, {"py", "0.6", Plaintext, false}, {"py", "0.7", Plaintext, false}, {"js", "0.7", Plaintext, false}} {
		t.Run(l.language+" "+l.version, func(t *testing.T) {
			t.Parallel()
			needs(t, l.language, l.version)
			first := startOld(t, "py", l.version, map[string]any{"kind": "sync"})
			second := startOld(t, l.language, l.version, map[string]any{"kind": "sync"})
			second.connect(first.addr)
			eventually(t, "the old ones are connected", func() bool {
				return slices.Contains(first.peers(), second.id) && slices.Contains(second.peers(), first.id)
			})
			n := open(t, Options{Kind: Sync, Version: l.version})
			if err := n.Connect(t.Context(), first.addr); err != nil {
				t.Fatal(err)
			}
			for i := range 3 {
				if err := n.Whisper(t.Context(), second.id, fmt.Sprint("whisper ", i)); err != nil {
					t.Fatal(err)
				}
			}
			for i := range 3 {
				second.message(fmt.Sprint("whisper ", i))
			}
			if !slices.Contains(first.peers(), second.id) {
				t.Error("the old ones are not connected any more")
			}
		})
	}
}

// Whoever has a key, of a native peer and two old nodes that claim it at once, one of them
// behind the other: all have the same in the end.
func TestOldBehindContest(t *testing.T) {
	installed(t)
	for _, l := range []way{{"py", "0.4", Plaintext, false}, {"py", "0.5", Plaintext, false}, {"py", "0.6", Plaintext, false}, {"py", "0.7", Plaintext, false}, {"js", "0.7", Plaintext, false}} {
		t.Run(l.language+" "+l.version, func(t *testing.T) {
			t.Parallel()
			needs(t, l.language, l.version)
			peers := natives(t, 2)
			b := peers[0].bridge(t)
			first := startOld(t, "py", l.version, map[string]any{"kind": "sync"})
			second := startOld(t, l.language, l.version, map[string]any{"kind": "sync"})
			second.connect(first.addr)
			eventually(t, "the old ones are connected", func() bool {
				return slices.Contains(first.peers(), second.id) && slices.Contains(second.peers(), first.id)
			})
			if _, err := b.Add(t.Context(), "", Options{Kind: Sync, Version: l.version}, first.addr); err != nil {
				t.Fatal(err)
			}
			settled(t, b)
			writers := []*old{first, second}
			if l.language == "js" {
				writers = writers[1:] // py and js that write a key within one second disconnect each other
			}
			since := connected(t, b, 1)
			for i := range 10 {
				key := fmt.Sprint("key ", i)
				var wg sync.WaitGroup
				for _, o := range writers {
					wg.Go(func() { o.do("set", map[string]any{"key": key, "value": o.id}) })
				}
				wg.Go(func() {
					if err := peers[1].sync.Set(context.Background(), key, "native"); err != nil && !isLease(err) {
						t.Error(err)
					}
				})
				wg.Wait()
			}
			for i := range 10 {
				key := fmt.Sprint("key ", i)
				for _, p := range peers {
					eventually(t, key+" natively", func() bool { return p.heldAt(key) == peers[0].heldAt(key) && p.heldAt(key) != nil })
				}
				for _, o := range []*old{first, second} {
					o.wait(key, func() bool { return o.get(key) == fmt.Sprint(peers[0].heldAt(key)) })
				}
			}
			if !slices.Contains(first.peers(), second.id) || !slices.Contains(second.peers(), first.id) {
				t.Error("the old ones are not connected any more")
			}
			unbroken(t, b, since)
		})
	}
}
