package compat

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

// A table of nodes of this library, on either ring.
func TestChordNode_TableIsSharedOnEitherRing(t *testing.T) {
	for _, v := range wire.Versions {
		t.Run(v.String(), func(t *testing.T) {
			t.Parallel()
			opts := Options{Kind: Chord, Version: v.String(), Listen: "127.0.0.1:0", K: 16, HelloDelay: 50 * time.Millisecond}
			var nodes []*ChordNode
			for i := range 3 {
				n := openChord(t, opts)
				if err := n.Join(); err != nil {
					t.Fatal(err)
				}
				for _, other := range nodes {
					if err := n.Connect(t.Context(), other.Addr()); err != nil {
						t.Fatal(err)
					}
				}
				nodes = append(nodes, n)
				eventually(t, "all know it", func() bool { return len(nodes[0].Peers()) == i })
			}
			leech := openChord(t, Options{Kind: Chord, Version: v.String(), K: 16, HelloDelay: 50 * time.Millisecond})
			if err := leech.Connect(t.Context(), nodes[0].Addr()); err != nil {
				t.Fatal(err)
			}
			get := func(n *ChordNode, key string) string {
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				v, err := n.Get(ctx, key)
				if err != nil {
					return err.Error()
				}
				return fmt.Sprintf("%s", v)
			}
			eventually(t, "a leech writes", func() bool { return leech.Set(t.Context(), "of leech", "x") == nil })
			for i, n := range nodes {
				key := fmt.Sprint("key", i)
				if err := n.Set(t.Context(), key, key); err != nil {
					t.Fatal(err)
				}
				for _, other := range append(nodes, leech) {
					eventually(t, key, func() bool { return get(other, key) == key })
				}
				eventually(t, "what the leech wrote", func() bool { return get(n, "of leech") == "x" })
			}
			if _, err := leech.Get(t.Context(), "nowhere"); !errors.Is(err, ErrNotFound) {
				t.Errorf("a missing key: %v", err)
			}
			if err := nodes[1].Delete(t.Context(), "key1"); err != nil {
				t.Error(err)
			}
			eventually(t, "it is gone", func() bool { _, err := nodes[0].Get(t.Context(), "key1"); return errors.Is(err, ErrNotFound) })
			if err := nodes[0].Unjoin(); err != nil {
				t.Fatal(err)
			}
			for _, key := range []string{"key0", "key2", "of leech"} {
				eventually(t, key+" is elsewhere", func() bool { s := get(nodes[2], key); return s == key || s == "x" })
			}
		})
	}
}
