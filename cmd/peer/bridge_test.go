package main

import (
	"context"
	"encoding/json"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/p2p-today/go2p/cmd/peer/control"
	"github.com/p2p-today/go2p/compat"
)

func TestBridge_CheckNamesTheOldNode(t *testing.T) {
	n, err := compat.OpenSync(t.Context(), compat.Options{Version: "0.7", Subnet: "shed", Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	dir := t.TempDir()
	want := "a node 0.7 over Plaintext\nid       " + n.ID() + "\nlistens  " + n.Addr() + "\nnetwork  sync \"shed\" over Plaintext\n"
	if out := command("", "bridge", "check", n.Addr(), "--subnet", "shed", "--data", dir); out.code != 0 || out.out != want {
		t.Errorf("%+v", out)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if out := command("", "bridge", "check", l.Addr().String(), "--data", dir); out.code != exitTimeout {
		t.Errorf("nobody: %+v", out)
	}
	if out := command("", "bridge", "check", "nowhere", "--data", dir); out.code != exitUsage {
		t.Errorf("no address: %+v", out)
	}
}

// An old network by way of `up --legacy` and `bridge add`: who is there, who was refused and
// why, messages and keys both ways.
func TestBridge_MessagesAndKeysCrossBothWays(t *testing.T) {
	talker, err := compat.OpenMesh(t.Context(), compat.Options{Version: "0.7", Subnet: "lab", Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { talker.Close() })
	sensor, err := compat.OpenSync(t.Context(), compat.Options{Version: "0.7", Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sensor.Close() })
	a := up(t, t.TempDir(), "--legacy", "mesh://127.0.0.1:0?version=0.7&subnet=lab&name=lab&connect="+talker.Addr())
	b := up(t, t.TempDir(), "--join", a.addr())
	b.neighbours(a)
	links := func() (list []control.Link) {
		for text := range strings.Lines(a.ok("bridge", "ls", "--json")) {
			var l control.Link
			if err := json.Unmarshal([]byte(text), &l); err != nil {
				t.Fatal(err)
			}
			list = append(list, l)
		}
		return list
	}
	eventually(t, func() bool { return len(links()) == 1 && len(links()[0].Peers) == 1 }, func() string { return a.ok("bridge", "ls") })
	lab := links()[0]
	if lab.Name != "lab" || lab.Kind != "mesh" || lab.Subnet != "lab" || lab.Version != "0.7" || lab.Peers[0].ID != talker.ID() {
		t.Errorf("%+v", lab)
	}
	a.ok("bridge", "add", "mesh://?version=0.7&name=wrong&connect="+sensor.Addr())
	eventually(t, func() bool {
		return slices.ContainsFunc(links()[1].Refused, func(r control.Refusal) bool { return strings.Contains(r.Why, `sync "sync" over Plaintext`) })
	}, func() string { return a.ok("bridge", "ls") })
	a.ok("bridge", "rm", "wrong")

	hearing, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	messages := talker.Messages(hearing)
	if err := talker.Send(t.Context(), "still here"); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*peerProcess{a, b} {
		m := p.recv()
		for m.From == a.ID { // its broadcast was faster than what it carries
			m = p.recv()
		}
		if m.From != "legacy:lab/"+talker.ID() || m.Via != a.ID || m.Kind != "broadcast" || m.Packets[0] != "still here" {
			t.Errorf("%+v", m)
		}
		p.ok("mesh", "reply", m.ID, "reply of "+p.ID)
		p.ok("mesh", "whisper", m.From, "whisper of "+p.ID)
		if out := p.ok("mesh", "send", "broadcast of "+p.ID); strings.Contains(out, "; old nodes: 1") != (p == a) {
			t.Errorf("send said %s", out)
		}
	}
	want := map[any]bool{}
	for _, p := range []*peerProcess{a, b} {
		want["reply of "+p.ID], want["whisper of "+p.ID], want["broadcast of "+p.ID] = true, true, true
	}
	for m, err := range messages {
		if err != nil {
			t.Fatalf("%v; not heard: %v; %s", err, want, a.ok("bridge", "ls"))
		}
		if delete(want, m.Packets[0]); len(want) == 0 {
			break
		}
	}

	if err := sensor.Set(t.Context(), "kitchen", "21.5"); err != nil {
		t.Fatal(err)
	}
	if out := a.ok("bridge", "add", "sync://?version=0.7&connect="+sensor.Addr()); !strings.HasPrefix(out, "sync-0.7-2 is a link") {
		t.Errorf("add said %s", out)
	}
	eventually(t, func() bool { return b.peer("sync", "get", "kitchen").out == "21.5\n" }, func() string { return a.ok("bridge", "ls") })
	if out := b.peer("sync", "set", "kitchen", "99"); out.code != exitLease {
		t.Errorf("a write to a key of an old node: %+v", out)
	}
	var meta struct {
		Owner  string
		Signed bool
	}
	if err := json.Unmarshal([]byte(b.ok("sync", "get", "kitchen", "--meta", "--json")), &meta); err != nil || meta.Owner != "legacy:sync/"+sensor.ID() || meta.Signed {
		t.Errorf("%+v, %v", meta, err)
	}
	for _, c := range []struct {
		code int
		args []string
	}{
		{exitUsage, []string{"bridge", "add", "mesh://?version=0.3"}},
		{exitFailure, []string{"bridge", "add", "mesh://?version=0.7&name=lab"}},
		{exitMissing, []string{"bridge", "rm", "nobody"}},
		{exitTimeout, []string{"mesh", "whisper", "legacy:nowhere/x", "hello"}},
		{0, []string{"bridge", "rm", "lab"}},
	} {
		if out := a.peer(c.args...); out.code != c.code {
			t.Errorf("%v: %+v", c.args, out)
		}
	}
	if list := links(); len(list) != 1 || list[0].Name != "sync-0.7-2" {
		t.Errorf("%+v", list)
	}
}
