package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/p2p-today/go2p/cmd/peer/control"
)

// gets waits until a peer has a value.
func (p *peerProcess) gets(key, want string) {
	p.t.Helper()
	var r result
	eventually(p.t, func() bool { r = p.peer("sync", "get", key); return r.out == want+"\n" },
		func() string { return fmt.Sprintf("%s is %+v, want %s", key, r, want) })
}

// lacks waits until a peer has no such key.
func (p *peerProcess) lacks(key string) {
	p.t.Helper()
	eventually(p.t, func() bool { return p.peer("sync", "get", key).code == exitMissing }, func() string { return key + " is there" })
}

func TestSync_PeersShareADictionary(t *testing.T) {
	a, b, c := line(t)
	a.ok("sync", "set", "color", "blue")
	b.gets("color", "blue")
	c.gets("color", "blue")
	for _, args := range [][]string{{"set", "color", "red"}, {"del", "color"}, {"pop", "color"}} {
		r := b.peer(append([]string{"sync"}, args...)...)
		if r.code != exitLease || !strings.Contains(r.err, a.ID) || !strings.Contains(r.err, "for another 1h") {
			t.Errorf("%v against a lease: %+v", args, r)
		}
	}
	var it struct {
		Key, Value, Owner string
		Term              uint64
		Until             time.Time
		Signed            *bool
	}
	line := c.ok("sync", "get", "color", "--meta", "--json")
	if err := json.Unmarshal([]byte(line), &it); err != nil || it.Owner != a.ID || it.Term == 0 || it.Signed == nil || !*it.Signed || time.Until(it.Until) < 50*time.Minute {
		t.Errorf("%s: %v", line, err)
	}
	if line := c.ok("sync", "lease", "color"); !strings.Contains(line, a.ID) {
		t.Errorf("lease: %s", line)
	}
	a.ok("sync", "del", "color")
	b.lacks("color")
	b.ok("sync", "set", "color", "red", "--acks", "2")
	if got := a.ok("sync", "get", "color"); got != "red\n" {
		t.Errorf("acknowledged, but %q", got)
	}
	b.ok("sync", "delta", "conf", `{"a":1}`)
	b.ok("sync", "delta", "conf", `{"b":[true,null,1.5]}`, "--acks", "2")
	if got := c.ok("sync", "get", "conf"); got != `{"a":1,"b":[true,null,1.5]}`+"\n" {
		t.Errorf("conf is %s", got)
	}
	if r := b.pipe("\xff\x00", "sync", "set", "bytes", "-"); r.code != 0 {
		t.Errorf("bytes: %+v", r)
	}
	if got := b.ok("sync", "get", "bytes"); got != "\xff\x00\n" {
		t.Errorf("bytes are %q", got)
	}
	b.ok("sync", "set", "number", "17", "--json-value")
	if got := b.ok("sync", "keys"); got != "bytes\ncolor\nconf\nnumber\n" {
		t.Errorf("keys: %s", got)
	}
	if got := b.ok("sync", "items", "n"); got != "number\t17\n" {
		t.Errorf("items: %s", got)
	}
	if got := b.ok("sync", "pop", "number"); got != "17\n" {
		t.Errorf("pop: %s", got)
	}
	if r := b.peer("sync", "pop", "number"); r.code != exitMissing {
		t.Errorf("pop of nothing: %+v", r)
	}
	var st control.Status
	eventually(t, func() bool {
		err := json.Unmarshal([]byte(c.ok("status", "--json")), &st)
		return err == nil && st.Sync.Keys == 3 && len(st.Sync.Peers) > 0
	}, func() string { return fmt.Sprintf("status: %+v", st.Sync) })

	d := up(t, filepath.Join(t.TempDir(), "d"), "--join", c.addr()) // late
	if got := d.ok("sync", "get", "color"); got != "red\n" {
		t.Errorf("the late joiner has %q", got)
	}
	var got, want string
	eventually(t, func() bool { got, want = d.ok("sync", "export"), a.ok("sync", "export"); return got == want },
		func() string { return fmt.Sprintf("exports differ: %s, %s", got, want) })
}

func TestSync_WatchGoesOnAfterARevision(t *testing.T) {
	dir := t.TempDir()
	a := up(t, filepath.Join(dir, "a"))
	a.ok("sync", "set", "x/1", "one")
	file := filepath.Join(dir, "items")
	if err := os.WriteFile(file, []byte(`{"key":"x/2","value":2}`+"\n"+`{"key":"y","value":{"b64":"/w=="}}`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var events []string
	var first control.Change
	for c, err := range control.Lines[control.Change](t.Context(), control.NewClient(a.dir, patience), control.Sync.Path(control.Watch)+"?prefix=x/", nil) {
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, fmt.Sprint(c.Event, " ", *c.Key, " ", c.Value, " ", c.Owner == a.ID))
		if len(events) == 1 {
			first = c
			a.ok("sync", "update", file)
			a.ok("sync", "del", "x/1")
		}
		if len(events) == 3 {
			break
		}
	}
	if want := []string{"update x/1 one true", "update x/2 2 true", "delete x/1 <nil> true"}; !slices.Equal(events, want) {
		t.Errorf("watched %q", events)
	}
	if out := a.ok("sync", "watch", "x/", "-n", "2", "--from", first.Revision); out != "update x/2 2\ndelete x/1\n" {
		t.Errorf("resumed with %q", out)
	}
	if r := a.pipe("{}", "sync", "update", "-"); r.code != exitUsage {
		t.Errorf("no item: %+v", r)
	}
}

func TestSync_ImportEqualsExport(t *testing.T) {
	n := 3000
	if os.Getenv("GO2P_LONG") == "1" {
		n = 100_000
	}
	dir := t.TempDir()
	a := up(t, filepath.Join(dir, "a"))
	b := up(t, filepath.Join(dir, "b"), "--network", "other")
	var lines strings.Builder
	for i := range n {
		fmt.Fprintf(&lines, `{"key":"key%06d","value":"%s"}`+"\n", i, strings.Repeat("v", 100))
	}
	if r := a.pipe(lines.String(), "sync", "import", "-", "--timeout", patience.String()); r.code != 0 {
		t.Fatalf("import: %+v", r)
	}
	exported := a.ok("sync", "export")
	if exported != lines.String() {
		t.Fatalf("the export is another: %.200s", exported)
	}
	file := filepath.Join(dir, "export")
	if err := os.WriteFile(file, []byte(exported), 0o600); err != nil {
		t.Fatal(err)
	}
	b.ok("sync", "import", file, "--timeout", patience.String())
	if got := b.ok("sync", "export"); got != exported {
		t.Error("the import is another")
	}
}

// P7: what was acknowledged is there after kill -9, and is still the writer's.
func TestSync_KillLosesNoAcknowledgedWrite(t *testing.T) {
	kills := 3
	if os.Getenv("GO2P_LONG") == "1" {
		kills = 50
	}
	dir := t.TempDir()
	written := map[string]int{}
	total := 0
	for k := range kills {
		p := up(t, dir)
		var all []control.KeyValue
		for line := range strings.Lines(p.ok("sync", "export")) {
			var kv control.KeyValue
			if err := json.Unmarshal([]byte(line), &kv); err != nil {
				t.Fatal(err)
			}
			all = append(all, kv)
		}
		for key, least := range written {
			i := slices.IndexFunc(all, func(kv control.KeyValue) bool { return string(kv.Key) == key })
			if i < 0 || all[i].Value.(int64) < int64(least) {
				t.Fatalf("kill %d: %s was acknowledged as %d", k, key, least)
			}
		}
		var mu sync.Mutex
		var writers sync.WaitGroup
		for w := range 8 {
			writers.Go(func() {
				key := fmt.Sprint("key", w)
				mu.Lock()
				first := written[key] + 1
				mu.Unlock()
				for n := first; ; n++ {
					q := control.KeyRequest{Key: control.Key(key), Value: json.RawMessage(strconv.Itoa(n))}
					var l control.Lease
					if err := control.NewClient(dir, patience).Call(t.Context(), control.Sync.Path(control.Set), q, &l); err != nil {
						return
					}
					if l.Owner != p.ID {
						t.Errorf("%s belongs to %s", key, l.Owner)
					}
					mu.Lock()
					written[key] = n
					total++
					mu.Unlock()
				}
			})
		}
		time.Sleep(time.Duration(rand.IntN(500)) * time.Millisecond)
		p.cmd.Process.Signal(syscall.SIGKILL)
		writers.Wait()
		p.cmd.Wait()
	}
	t.Logf("%d kills, %d writes acknowledged, none lost", kills, total)
}

// All three are killed straight after a write, and come back with everything.
func TestSync_AllKilledKeepTheirLeases(t *testing.T) {
	a, b, c := line(t)
	a.ok("sync", "set", "early", "1", "--acks", "2")
	a.ok("sync", "set", "last", "write")
	for _, p := range []*peerProcess{a, b, c} {
		p.kill()
	}
	a2 := up(t, a.dir)
	b2 := up(t, b.dir, "--join", a2.addr())
	if got := b2.ok("sync", "get", "last"); got != "write\n" {
		t.Errorf("last is %q", got)
	}
	if line := b2.ok("sync", "lease", "early"); !strings.Contains(line, a.ID+" has it for") {
		t.Errorf("the lease is %s", line)
	}
	a2.ok("sync", "set", "early", "2")
	if r := b2.peer("sync", "set", "early", "3"); r.code != exitLease {
		t.Errorf("a lease after the restart: %+v", r)
	}
}

func TestSync_OtherLeasesAreRefused(t *testing.T) {
	dir := t.TempDir()
	a := up(t, filepath.Join(dir, "a"))
	events := control.Lines[control.Event](t.Context(), control.NewClient(a.dir, patience), control.PathEvents, nil)
	b := up(t, filepath.Join(dir, "b"), "--join", a.addr(), "--no-lease")
	b.neighbours(a)
	for ev, err := range events {
		if err != nil {
			t.Fatal(err)
		}
		if ev.Event == "sync-refused" {
			if ev.Peer != b.ID || !strings.Contains(ev.Reason, "no leases") {
				t.Errorf("refused: %+v", ev)
			}
			break
		}
	}
	for _, p := range []*peerProcess{a, b} {
		var r result
		eventually(t, func() bool { r = p.peer("sync", "set", "k", "v"); return r.code == exitRefused },
			func() string { return fmt.Sprintf("%+v", r) })
		if !strings.Contains(r.err, "1h0m0s") || !strings.Contains(r.err, "no leases") {
			t.Errorf("the refusal does not name both: %s", r.err)
		}
	}
	for _, bad := range []string{"0s", "-1h", "10000h"} {
		if r := command("", "up", "--data", filepath.Join(dir, "c"), "--lease", bad); r.code != exitUsage {
			t.Errorf("--lease %s: %+v", bad, r)
		}
	}
}
