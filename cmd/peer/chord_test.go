package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/p2p-today/go2p/cmd/peer/control"
)

// ring waits until a peer sees so many that store, none of which lacks anything.
func (p *peerProcess) ring(want int) {
	p.t.Helper()
	p.ringOf(want, func(n control.RingNode) bool { return !n.Backfilling })
}

// full waits until a peer sees so many that store, each of which has so many keys. One that
// has not noticed yet who died does not know what it lacks.
func (p *peerProcess) full(want, keys int) {
	p.t.Helper()
	p.ringOf(want, func(n control.RingNode) bool { return !n.Backfilling && n.Keys == keys })
}

func (p *peerProcess) ringOf(want int, good func(control.RingNode) bool) {
	p.t.Helper()
	var r control.Ring
	eventually(p.t, func() bool {
		r = control.Ring{}
		out := p.peer("chord", "ring", "--json")
		err := json.Unmarshal([]byte(out.out), &r)
		return err == nil && len(r.Nodes) == want && !slices.ContainsFunc(r.Nodes, func(n control.RingNode) bool { return !good(n) })
	}, func() string { return fmt.Sprintf("ring %+v, want %d", r, want) })
}

// The scenario of a table: six peers import, two die at once, a seventh joins, one leaves,
// one reads and writes without storing.
func TestChord_TableSurvivesCrashes(t *testing.T) {
	dir := t.TempDir()
	peers := []*peerProcess{up(t, filepath.Join(dir, "0"), "--k", "6")}
	for i := 1; i < 6; i++ {
		peers = append(peers, up(t, filepath.Join(dir, fmt.Sprint(i)), "--k", "6", "--join", peers[i-1].addr()))
	}
	peers[0].ring(6)
	n := 500
	if os.Getenv("GO2P_LONG") == "1" {
		n = 10000
	}
	var lines []string
	for i := range n {
		lines = append(lines, fmt.Sprintf(`{"key":"key/%d","value":"value %d"}`, i, i)+"\n")
	}
	slices.Sort(lines) // as the keys: no key goes on with what is behind another
	items := strings.Join(lines, "")
	file := filepath.Join(dir, "items")
	if err := os.WriteFile(file, []byte(items), 0o600); err != nil {
		t.Fatal(err)
	}
	peers[2].ok("chord", "import", file)
	same := func(p *peerProcess) {
		t.Helper()
		got := strings.SplitAfter(strings.TrimSuffix(p.ok("chord", "export"), "\n"), "\n")
		slices.Sort(got)
		if len(got) != n {
			t.Errorf("%d keys at %s, of %d", len(got), p.dir, n)
		}
		for range 20 {
			i := rand.IntN(n)
			if v := p.ok("chord", "get", fmt.Sprint("key/", i)); v != fmt.Sprintf("value %d\n", i) {
				t.Errorf("key/%d at %s is %q", i, p.dir, v)
			}
		}
	}
	same(peers[5])
	if got := peers[4].ok("chord", "export"); got != exported(t, lines) {
		t.Error("the export is not what was imported")
	}
	peers[1].kill()
	peers[4].kill()
	alive := []*peerProcess{peers[0], peers[2], peers[3], peers[5]}
	for _, p := range alive {
		same(p)
	}
	peers[0].full(4, n)
	seventh := up(t, filepath.Join(dir, "6"), "--k", "6", "--join", peers[0].addr())
	seventh.full(5, n)
	if out := peers[2].ok("chord", "leave"); !strings.Contains(out, "does not store") {
		t.Errorf("leave: %s", out)
	}
	var st control.Status
	if err := json.Unmarshal([]byte(peers[2].ok("status", "--json")), &st); err != nil || st.Chord.Stores || st.Chord.Keys != 0 || st.Chord.K != 6 {
		t.Errorf("status: %+v, %v", st.Chord, err)
	}
	same(peers[2])
	leech := up(t, filepath.Join(dir, "7"), "--k", "6", "--leech", "--join", peers[3].addr())
	same(leech)
	leech.ok("chord", "set", "from", "leech")
	if got := seventh.ok("chord", "get", "from"); got != "leech\n" {
		t.Errorf("from the leech: %q", got)
	}
	if r := leech.peer("chord", "get", "nothing"); r.code != exitMissing {
		t.Errorf("a missing key: %+v", r)
	}
	peers[2].ok("chord", "join")
	seventh.ring(5)

	r := leech.peer("chord", "get", "from", "--trace")
	if r.code != 0 || r.out != "leech\n" || strings.Count(r.err, "slot") < 3 || !strings.Contains(r.err, " ms)") {
		t.Errorf("trace: %+v", r)
	}
	if out := leech.ok("chord", "get", "from", "--trace", "--json"); !strings.Contains(out, `"trace":[{"peer":`) {
		t.Errorf("trace: %s", out)
	}
	if out := leech.ok("chord", "ring"); !strings.Contains(out, "5 of 64 slots") || strings.Count(out, "12D3Koo") != 5 {
		t.Errorf("ring: %s", out)
	}
}

// exported is what export prints: by key.
func exported(t *testing.T, lines []string) string {
	t.Helper()
	type line struct {
		key  string
		text string
	}
	var all []line
	for _, text := range lines {
		var kv struct{ Key string }
		if err := json.Unmarshal([]byte(text), &kv); err != nil {
			t.Fatal(err)
		}
		all = append(all, line{kv.Key, text})
	}
	slices.SortFunc(all, func(a, b line) int { return strings.Compare(a.key, b.key) })
	var b strings.Builder
	for _, l := range all {
		b.WriteString(l.text)
	}
	return b.String()
}

// The other commands, by two peers.
func TestChord_TwoPeersShareATable(t *testing.T) {
	dir := t.TempDir()
	a := up(t, filepath.Join(dir, "a"))
	a.ok("chord", "set", "color", "blue") // at once
	b := up(t, filepath.Join(dir, "b"), "--join", a.addr())
	if got := b.ok("chord", "get", "color"); got != "blue\n" {
		t.Errorf("color is %q", got)
	}
	b.ring(2)
	changes := make(chan string)
	go func() {
		changes <- a.peer("chord", "watch", "w/", "-n", "2", "--json", "--timeout", patience.String()).out
	}()
	var got string
	eventually(t, func() bool { // the watch begins some time
		b.ok("chord", "set", "w/1", "one")
		b.ok("chord", "del", "w/1")
		select {
		case got = <-changes:
			return true
		default:
			return false
		}
	}, func() string { return "no changes" })
	for line := range strings.Lines(got) {
		var c control.Change
		if err := json.Unmarshal([]byte(line), &c); err != nil || c.Key == nil || *c.Key != "w/1" || c.Owner != b.ID ||
			c.Event != "update" && c.Event != "delete" || c.Event == "update" && c.Value != "one" {
			t.Errorf("change %s: %v", line, err)
		}
	}
	a.ok("chord", "delta", "conf", `{"a":1}`)
	b.ok("chord", "delta", "conf", `{"b":[true]}`)
	if got := a.ok("chord", "get", "conf"); got != `{"a":1,"b":[true]}`+"\n" {
		t.Errorf("conf is %s", got)
	}
	if got := b.ok("chord", "pop", "conf", "--json"); got != `{"key":"conf","value":{"a":1,"b":[true]}}`+"\n" {
		t.Errorf("popped %s", got)
	}
	if r := b.peer("chord", "pop", "conf"); r.code != exitMissing {
		t.Errorf("popped twice: %+v", r)
	}
	if r := b.peer("chord", "del", "conf"); r.code != exitMissing {
		t.Errorf("deleted what was popped: %+v", r)
	}
	if r := a.pipe(`{"key":"n","value":17}`+"\n"+`{"key":"bytes","value":{"b64":"/w=="}}`+"\n", "chord", "update", "-"); r.code != 0 {
		t.Errorf("update: %+v", r)
	}
	if got := b.ok("chord", "export"); got != `{"key":"bytes","value":{"b64":"/w=="}}`+"\n"+`{"key":"color","value":"blue"}`+"\n"+`{"key":"n","value":17}`+"\n" {
		t.Errorf("export: %s", got)
	}
	if got := b.ok("chord", "items", "n"); got != "n\t17\n" {
		t.Errorf("items: %s", got)
	}
	keys := strings.Fields(b.ok("chord", "keys"))
	if slices.Sort(keys); !slices.Equal(keys, []string{"bytes", "color", "n"}) {
		t.Errorf("keys: %q", keys)
	}
	if r := a.peer("chord", "set", "x", "y", "--timeout", "0s"); r.code != exitUsage {
		t.Errorf("no time: %+v", r)
	}

	// What is on disk is there when everybody comes back.
	a.kill()
	b.kill()
	a = up(t, a.dir)
	if got := a.ok("chord", "get", "color"); got != "blue\n" {
		t.Errorf("color is %q after a restart", got)
	}
}

// A peer with another k is told with both, and so is who runs into it; at k=2 four store.
func TestChord_OtherKAndFullRingAreRefused(t *testing.T) {
	dir := t.TempDir()
	a := up(t, filepath.Join(dir, "a"), "--k", "2")
	other := up(t, filepath.Join(dir, "other"), "--k", "3", "--join", a.addr())
	for _, p := range []*peerProcess{other, a} {
		var r result
		eventually(t, func() bool { r = p.peer("chord", "get", "x"); return r.code == exitRefused }, func() string { return fmt.Sprintf("%+v", r) })
		if !strings.Contains(r.err, "k=2") || !strings.Contains(r.err, "k=3") {
			t.Errorf("refused: %s", r.err)
		}
	}
	other.kill()
	peers := []*peerProcess{a}
	for i := range 4 {
		peers = append(peers, up(t, filepath.Join(dir, fmt.Sprint(i)), "--k", "2", "--join", a.addr()))
		if i < 3 {
			a.ring(i + 2)
		}
	}
	fifth := peers[4]
	r := fifth.peer("chord", "join")
	if r.code != exitRefused || !strings.Contains(r.err, "full") {
		t.Errorf("a fifth: %+v", r)
	}
	fifth.ok("chord", "set", "x", "y")
	if got := a.ok("chord", "get", "x"); got != "y\n" {
		t.Errorf("from the fifth: %q", got)
	}
	eventually(t, func() bool { return strings.Contains(fifth.log.String(), "full") }, func() string { return "the log of the fifth does not say so" })
}
