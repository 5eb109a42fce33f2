package compat

import (
	"testing"
)

// Nodes that have nothing to do take nothing of the processor.
func TestEngine_RestsWhenNothingIsDue(t *testing.T) {
	a := open(t, Options{Kind: Mesh, Version: "0.7", Listen: "127.0.0.1:0"})
	b := open(t, Options{Kind: Mesh, Version: "0.7"})
	if err := b.Connect(t.Context(), a.Addr()); err != nil {
		t.Fatal(err)
	}
	turns := func() uint64 { return a.engine.turns.Load() + b.engine.turns.Load() }
	var last uint64
	eventually(t, "rest", func() bool {
		before := last
		last = turns()
		return last == before
	})
}
