package compat

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// open opens a node of any kind, as far as all are alike, and closes it with the test.
func open(t testing.TB, opts Options) *MeshNode {
	t.Helper()
	switch opts.Kind {
	case Sync:
		return openSync(t, opts).MeshNode
	case Chord:
		return openChord(t, opts).MeshNode
	}
	n, err := OpenMesh(context.Background(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}

func openSync(t testing.TB, opts Options) *SyncNode {
	t.Helper()
	n, err := OpenSync(context.Background(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}

func openChord(t testing.TB, opts Options) *ChordNode {
	t.Helper()
	n, err := OpenChord(context.Background(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}

// eventually waits until something holds.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// collect gathers the messages of a node.
func collect(t testing.TB, n *MeshNode) func(text string) []Message {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	got := make(chan Message, 1000)
	messages := n.Messages(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for m, err := range messages {
			if err != nil {
				return
			}
			got <- m
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	all := map[string][]Message{}
	return func(text string) []Message {
		for len(got) > 0 {
			m := <-got
			all[textOf(m.Packets)] = append(all[textOf(m.Packets)], m)
		}
		return all[text]
	}
}

// textOf is what a message says, if that is one text or bytes.
func textOf(packets []any) string {
	if len(packets) != 1 {
		return ""
	}
	return fmt.Sprintf("%s", packets[0])
}
