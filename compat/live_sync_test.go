package compat

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/p2p-today/go2p/internal/oldpeers"
)

// held is what a node has under a key, as text, or nil.
func held(t testing.TB, n interface {
	Get(context.Context, string) (any, error)
}, key string) any {
	t.Helper()
	v, err := n.Get(context.Background(), key)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	if b, ok := v.([]byte); ok {
		return string(b)
	}
	return v
}

func TestOldSync_DictionaryIsShared(t *testing.T) {
	for _, l := range ways() {
		for _, leasing := range []bool{true, false} {
			t.Run(fmt.Sprint(l, " leasing ", leasing), func(t *testing.T) {
				t.Parallel()
				record(t, l, map[bool]string{true: "sync", false: "sync without leasing"}[leasing])
				oldpeers.Needs(t, l.language, l.version)
				testOldSync(t, l, leasing)
			})
		}
	}
}

func testOldSync(t *testing.T, l way, leasing bool) {
	ctx := context.Background()
	opts := listening(t, l, Sync)
	opts.NoLeasing = !leasing
	n := openSync(t, opts)
	o := oldpeers.Start(t, l.language, l.version, map[string]any{"kind": "sync", "encryption": string(l.transport), "leasing": leasing})
	set := func(key, v string) {
		t.Helper()
		if err := n.Set(ctx, key, v); err != nil {
			t.Fatal(err)
		}
	}
	// Each has something that the other has not, when they meet.
	for i := range 100 {
		set(fmt.Sprint("go", i), fmt.Sprint("of go ", i))
	}
	o.Must("set", map[string]any{"key": "early", "value": "of old"})
	connectPair(t, l, n.MeshNode, o)
	for _, i := range []int{0, 50, 99} {
		o.Wait("the keys from before", func() bool { return o.Get(fmt.Sprint("go", i)) == fmt.Sprint("of go ", i) })
	}
	eventually(t, "the key from before", func() bool { return held(t, n, "early") == "of old" })

	set("a", "1")
	o.Wait("a", func() bool { return o.Get("a") == "1" })
	set("a", "2")
	o.Wait("a again", func() bool { return o.Get("a") == "2" })
	o.Must("set", map[string]any{"key": "b", "value": "1"})
	eventually(t, "b", func() bool { return held(t, n, "b") == "1" })
	o.Must("set", map[string]any{"key": "b", "value": "2"})
	eventually(t, "b again", func() bool { return held(t, n, "b") == "2" })

	if leasing {
		var leased *LeaseError
		if err := n.Set(ctx, "b", "3"); !errors.As(err, &leased) || leased.Owner != o.ID || !errors.Is(err, ErrLeased) {
			t.Errorf("a key of the old node: %v", err)
		}
		nextSecond(t) // within one, the smaller ID wins
		if _, err := o.Do("set", map[string]any{"key": "a", "value": "3"}); err == nil && l.version != "0.4" {
			t.Error("the old node writes a key of go")
		}
	} else {
		set("b", "3")
		o.Wait("b of go", func() bool { return o.Get("b") == "3" })
		eventually(t, "a of old", func() bool { // not within a second of go's
			o.Do("set", map[string]any{"key": "a", "value": "4"})
			return held(t, n, "a") == "4"
		})
	}
	// A deleted key is gone where the old software can delete.
	if err := n.Delete(ctx, "go7"); err != nil {
		t.Fatal(err)
	}
	if err := n.Delete(ctx, "go7"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a key that is not there: %v", err)
	}
	if l.language == "py" {
		o.Wait("the key is gone", func() bool { return o.Get("go7") == nil })
		if l.version == "0.4" {
			o.Must("set", map[string]any{"key": "early", "value": ""})
		} else {
			o.Must("del", map[string]any{"key": "early"})
		}
		eventually(t, "the key of old is gone", func() bool { return held(t, n, "early") == nil })
	}
	if l.version == "0.7" {
		if err := n.ApplyDelta(ctx, "map", map[string]any{"x": 1}); err != nil {
			t.Fatal(err)
		}
		if err := n.ApplyDelta(ctx, "map", map[string]any{"y": "2"}); err != nil {
			t.Fatal(err)
		}
		o.Wait("the map", func() bool { return fmt.Sprint(o.Get("map")) == "map[x:1 y:2]" })
		o.Must("apply_delta", map[string]any{"key": "maps", "delta": map[string]any{"x": "1"}})
		o.Must("apply_delta", map[string]any{"key": "maps", "delta": map[string]any{"y": "2"}})
		eventually(t, "the map of old", func() bool { return fmt.Sprint(held(t, n, "maps")) == "map[x:1 y:2]" })
	} else if err := n.ApplyDelta(ctx, "map", map[string]any{"x": 1}); !errors.Is(err, ErrVersion) {
		t.Errorf("a delta: %v", err)
	}
	// The link has lived through all of it, and nothing is left behind.
	set("last", "of go")
	o.Wait("last", func() bool { return o.Get("last") == "of go" })
	if len(n.Peers()) != 1 {
		t.Error("the link is lost")
	}
	if status := fmt.Sprint(o.Must("status", nil)["status"]); status != "Nominal" {
		t.Errorf("the old node has had errors: %s", status)
	}
}

// nextSecond waits until one begins.
func nextSecond(t testing.TB) {
	t.Helper()
	second := time.Now().Unix()
	eventually(t, "the next second", func() bool { return time.Now().Add(-50*time.Millisecond).Unix() > second })
}
