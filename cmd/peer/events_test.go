package main

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/p2p-today/go2p/cmd/peer/control"
)

func TestEvents_FollowANeighbour(t *testing.T) {
	dir := t.TempDir()
	a := up(t, filepath.Join(dir, "a"))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var kinds []string
	b := up(t, filepath.Join(dir, "b"))
	events := control.Lines[control.Event](ctx, control.NewClient(a.dir, patience), control.PathEvents, nil)
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		b.peer("mesh", "connect", a.addr())
		b.peer("mesh", "whisper", a.ID, "hi")
		b.kill()
	}()
	for ev, err := range events {
		if err != nil {
			t.Fatal(err)
		}
		if ev.Progress != nil {
			continue // the table's, whenever that is
		}
		if ev.Peer != b.ID {
			t.Errorf("an event about %s: %+v", ev.Peer, ev)
		}
		if kinds = append(kinds, ev.Event); ev.Event == "disconnect" {
			break
		}
	}
	if want := "peer-up connect message peer-down disconnect"; strings.Join(kinds, " ") != want {
		t.Errorf("events %v, want %s", kinds, want)
	}
	<-killed
}
