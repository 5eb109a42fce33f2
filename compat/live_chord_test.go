package compat

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/p2p-today/go2p/internal/oldpeers"
)

func TestOldChord_TableIsShared(t *testing.T) {
	for _, l := range ways() {
		if l.version == "0.4" || l.language == "py" && l.transport == SSL {
			continue // 0.4 works under Python 2 only; two threads of py write to one TLS connection, which breaks
		}
		t.Run(fmt.Sprint(l), func(t *testing.T) {
			t.Parallel()
			record(t, l, "chord")
			oldpeers.Needs(t, l.language, l.version)
			testOldChord(t, l)
		})
	}
}

func testOldChord(t *testing.T, l way) {
	ctx := context.Background()
	n := openChord(t, listening(t, l, Chord))
	o := pairWith(t, l, n.MeshNode, Chord)
	if _, err := n.Get(ctx, "early"); !errors.Is(err, ErrNoPeers) {
		t.Errorf("with nobody who stores: %v", err)
	}
	o.Must("join", nil)
	get := func(key string) any {
		v, err := n.Get(ctx, key)
		if b, ok := v.([]byte); ok {
			v = string(b)
		}
		if err != nil && !errors.Is(err, ErrNotFound) {
			t.Logf("get %s: %v", key, err)
		}
		return v
	}
	oldGet := func(key string) any {
		begin := time.Now()
		m, err := o.Do("get", map[string]any{"key": key, "wait": 5})
		if err != nil {
			t.Logf("the old one cannot get %s after %v: %v; its status is %v", key, time.Since(begin), err, o.Must("status", nil)["status"])
			return nil
		}
		return oldpeers.Plain(m["value"])
	}
	eventually(t, "the old one stores", func() bool { return n.Set(ctx, "of leech", "1") == nil })
	eventually(t, "a leech reads what it wrote", func() bool { return get("of leech") == "1" })
	if v := oldGet("of leech"); v != "1" {
		t.Errorf("the old one reads %v", v)
	}
	o.Must("set", map[string]any{"key": "of old", "value": "2"})
	eventually(t, "of old", func() bool { return get("of old") == "2" })

	if err := n.Join(); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		if err := n.Set(ctx, fmt.Sprint("go ", i), fmt.Sprint("go ", i)); err != nil {
			t.Fatal(err)
		}
		o.Must("set", map[string]any{"key": fmt.Sprint("old ", i), "value": fmt.Sprint("old ", i)})
	}
	for i := range 20 {
		for _, key := range []string{fmt.Sprint("go ", i), fmt.Sprint("old ", i)} {
			eventually(t, key, func() bool { return get(key) == key })
			eventually(t, "the old one reads "+key, func() bool { return oldGet(key) == key })
		}
	}
	for _, key := range []string{"of leech", "of old"} {
		eventually(t, key+" is not lost by joining", func() bool { return get(key) != nil })
	}
	if err := n.Delete(ctx, "go 3"); err != nil {
		t.Error(err)
	}
	if _, err := n.Get(ctx, "go 3"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a deleted key: %v", err)
	}
	if l.version == "0.7" {
		if err := n.Set(ctx, "map", map[string]any{"x": "1"}); err != nil {
			t.Fatal(err)
		}
		if err := n.ApplyDelta(ctx, "map", map[string]any{"y": "2"}); err != nil {
			t.Error(err)
		}
		eventually(t, "the map", func() bool { return fmt.Sprint(oldGet("map")) == "map[x:1 y:2]" })
	}
	if err := n.Unjoin(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what was here is there", func() bool { return oldGet("go 5") == "go 5" && get("old 5") == "old 5" })
	if len(n.Peers()) != 1 {
		t.Error("the link is lost")
	}
}
