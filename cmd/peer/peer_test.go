package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/p2p-today/go2p/cmd/peer/control"
	"github.com/p2p-today/go2p/internal/testnet"
)

// TestMain makes the test's own binary the peer command for those it starts.
func TestMain(m *testing.M) {
	if os.Getenv("GO2P_TEST_PEER") == "1" {
		main()
	}
	os.Setenv("PEER_DATA", "/data") // the default of --data, in help texts
	os.Exit(m.Run())
}

// patience is ten times what anything here takes on a slow machine.
const patience = 60 * time.Second

// A tester is a test or a script.
type tester interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Logf(format string, args ...any)
	Cleanup(f func())
	Failed() bool
}

// A peerProcess is a running `peer up`.
type peerProcess struct {
	t     tester
	dir   string
	ID    string   `json:"id"`
	Addrs []string `json:"addrs"`
	cmd   *exec.Cmd
	log   *lockedBuffer
}

// lockedBuffer is what a process writes while the test reads it.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// up starts a peer on loopback, alone on this machine, and waits until it is ready.
func up(t tester, dir string, args ...string) *peerProcess {
	t.Helper()
	args = append([]string{"--no-mdns", "--listen", "/ip4/127.0.0.1/tcp/0", "--listen", "/ip4/127.0.0.1/udp/0/quic-v1"}, args...)
	return start(t, exec.Command(os.Args[0]), dir, args...)
}

// start starts a peer with a command that runs this binary.
func start(t tester, cmd *exec.Cmd, dir string, args ...string) *peerProcess {
	t.Helper()
	p := &peerProcess{t: t, dir: dir, cmd: cmd, log: &lockedBuffer{}}
	cmd.Args = append(cmd.Args, append([]string{"up", "--json", "--data", dir}, args...)...)
	cmd.Env = append(os.Environ(), "GO2P_TEST_PEER=1")
	cmd.Stderr = p.log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("log of the peer in %s:\n%s", dir, p.log)
		}
	})
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		t.Fatalf("no ready line: %v\n%s", err, p.log)
	}
	var ready struct{ Event string }
	if err := json.Unmarshal(line, &ready); err != nil || ready.Event != "ready" {
		t.Fatalf("first line %s, %v", line, err)
	}
	if err := json.Unmarshal(line, p); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *peerProcess) kill() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
}

// addr is an address to join the peer.
func (p *peerProcess) addr() string { return p.Addrs[0] }

// result is what a command has printed and its exit code.
type result struct {
	out, err string
	code     int
}

// peer runs a command that talks to this peer.
func (p *peerProcess) peer(args ...string) result { return p.pipe("", args...) }

func (p *peerProcess) pipe(in string, args ...string) result {
	return command(in, append([]string{"--data", p.dir}, args...)...)
}

func command(in string, args ...string) result {
	var out, errs bytes.Buffer
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	code := run(ctx, args, strings.NewReader(in), &out, &errs)
	return result{out.String(), errs.String(), code}
}

// ok runs a command that must succeed and returns what it printed.
func (p *peerProcess) ok(args ...string) string {
	p.t.Helper()
	r := p.peer(args...)
	if r.code != 0 {
		p.t.Fatalf("peer %s: exit %d: %s", strings.Join(args, " "), r.code, r.err)
	}
	return r.out
}

// neighbours waits until the peer has exactly these neighbours.
func (p *peerProcess) neighbours(want ...*peerProcess) {
	p.t.Helper()
	var ids []string
	for _, w := range want {
		ids = append(ids, w.ID)
	}
	slices.Sort(ids)
	var got []string
	eventually(p.t, func() bool {
		got = nil
		for line := range strings.Lines(p.ok("mesh", "peers", "--json")) {
			var n control.Peer
			if err := json.Unmarshal([]byte(line), &n); err != nil {
				p.t.Fatal(err)
			}
			got = append(got, n.ID)
		}
		slices.Sort(got)
		return slices.Equal(got, ids)
	}, func() string { return fmt.Sprintf("neighbours %v, want %v", got, ids) })
}

func eventually(t tester, cond func() bool, or func() string) {
	t.Helper()
	for end := time.Now().Add(patience); !cond(); {
		if time.Now().After(end) {
			t.Fatal(or())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// recv waits for one message and returns it.
func (p *peerProcess) recv() control.Message {
	p.t.Helper()
	var msg control.Message
	line := p.ok("mesh", "recv", "-f", "-n", "1", "--json", "--timeout", patience.String())
	if err := json.Unmarshal([]byte(line), &msg); err != nil {
		p.t.Fatalf("%q: %v", line, err)
	}
	return msg
}

// line starts three peers of which the second joins the first and the third the
// second.
func line(t *testing.T) (a, b, c *peerProcess) {
	t.Helper()
	dir := t.TempDir()
	a = up(t, filepath.Join(dir, "a"))
	b = up(t, filepath.Join(dir, "b"), "--join", a.addr())
	c = up(t, filepath.Join(dir, "c"), "--join", b.addr())
	b.neighbours(a, c)
	return a, b, c
}

func TestThreeInALine(t *testing.T) {
	a, b, c := line(t)
	a.neighbours(b, c) // b has introduced c

	if out := a.ok("mesh", "send", "hello", "--json"); !strings.Contains(out, `"neighbours":2,"took":2`) {
		t.Errorf("send printed %s", out)
	}
	msg := c.recv()
	if msg.From != a.ID || msg.Kind != "broadcast" || fmt.Sprint(msg.Packets) != "[hello]" {
		t.Errorf("received %+v", msg)
	}

	text := strings.Repeat("a line of text, with ümläuts\n", 500)
	if r := a.pipe(text, "mesh", "send", "-"); r.code != 0 {
		t.Fatal(r.err)
	}
	if msg := c.recv(); msg.Packets[0] != text {
		t.Errorf("%d bytes of a file arrived as %d", len(text), len(fmt.Sprint(msg.Packets[0])))
	}

	if r := a.peer("mesh", "whisper", c.ID, "for you"); r.code != 0 {
		t.Fatal(r.err)
	}
	msg = c.recv()
	if msg.From != a.ID || msg.Kind != "whisper" || fmt.Sprint(msg.Packets) != "[for you]" {
		t.Errorf("received %+v", msg)
	}
	c.ok("mesh", "reply", msg.ID, "thanks")
	reply := a.recv()
	if reply.From != c.ID || reply.Kind != "reply" || reply.To != msg.ID {
		t.Errorf("received %+v", reply)
	}
	if r := a.peer("mesh", "reply", "0123", "x"); r.code != exitMissing {
		t.Errorf("reply to an unknown message: exit %d: %s", r.code, r.err)
	}

	const nobody = "12D3KooWPHPWspJh8TCfA2ZpmjP87DGVE63HXF9SAWpdx88j9wV2"
	if r := a.peer("mesh", "whisper", nobody, "hi"); r.code != exitTimeout || !strings.Contains(r.err, "hint:") {
		t.Errorf("whisper to an unknown peer: exit %d: %s", r.code, r.err)
	}
	if out := c.ok("mesh", "recv", "--json"); out != "" {
		t.Errorf("printed twice: %s", out)
	}
}

func TestAskWaitsForTheReply(t *testing.T) {
	a, b, _ := line(t)
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		q := b.recv()
		b.ok("mesh", "reply", q.ID, "--json-value", `{"sum":[1,2.5,null]}`)
	}()
	if out := a.ok("mesh", "ask", b.ID, "1+1.5?", "--timeout", patience.String()); out != `{"sum":[1,2.5,null]}`+"\n" {
		t.Errorf("the reply was printed as %s", out)
	}
	<-answered
	if r := a.peer("mesh", "ask", b.ID, "?", "--timeout", "500ms"); r.code != exitTimeout {
		t.Errorf("without a reply: exit %d: %s", r.code, r.err)
	}
}

func TestRefusedAtBothEnds(t *testing.T) {
	dir := t.TempDir()
	key := filepath.Join(dir, "lab.key")
	if r := command("", "key", "new", key); r.code != 0 {
		t.Fatal(r.err)
	}
	a := up(t, filepath.Join(dir, "a"), "--network", "lab", "--network-key", key)
	for name, args := range map[string][]string{
		"another network": {"--network", "lobby"},
		"another key":     {"--network", "lab"},
	} {
		b := up(t, filepath.Join(dir, name), args...)
		r := b.peer("mesh", "connect", a.addr())
		if r.code != exitRefused || !strings.Contains(r.err, "another network or another key") {
			t.Errorf("%s: exit %d: %s", name, r.code, r.err)
		}
		for _, p := range []*peerProcess{a, b} {
			other := a.ID
			if p == a {
				other = b.ID
			}
			eventually(t, func() bool {
				log := p.log.String()
				return strings.Contains(log, "connection refused") && strings.Contains(log, other) &&
					strings.Contains(p.ok("status"), other+": no common network")
			}, func() string { return fmt.Sprintf("%s: %s does not say why", name, p.dir) })
		}
	}

	// With --join the peer runs, and what needs a neighbour says why there is none.
	c := up(t, filepath.Join(dir, "c"), "--join", a.addr())
	for _, args := range [][]string{{"mesh", "send", "x"}, {"mesh", "whisper", a.ID, "x"}} {
		if r := c.peer(args...); r.code != exitRefused {
			t.Errorf("%v: exit %d: %s", args, r.code, r.err)
		}
	}

	d := up(t, filepath.Join(dir, "d"), "--network", "lab", "--network-key", key, "--join", a.addr())
	d.neighbours(a)
}

func TestKilledMiddleComesBack(t *testing.T) {
	dir := t.TempDir()
	a := up(t, filepath.Join(dir, "a"))
	b := up(t, filepath.Join(dir, "b"), "--join", a.addr())
	c := up(t, filepath.Join(dir, "c"), "--join", b.addr())
	for _, p := range []*peerProcess{a, c} {
		p.neighbours(b, map[*peerProcess]*peerProcess{a: c, c: a}[p])
	}
	b.kill()
	a.neighbours(c)
	again := up(t, b.dir) // without --join: it remembers
	if again.ID != b.ID {
		t.Errorf("%s became %s", b.ID, again.ID)
	}
	again.neighbours(a, c)
	a.ok("mesh", "send", "whole again")
	for _, p := range []*peerProcess{again, c} {
		if msg := p.recv(); fmt.Sprint(msg.Packets) != "[whole again]" {
			t.Errorf("received %+v", msg)
		}
	}
}

func TestSendWaitsForTheFirstNeighbour(t *testing.T) {
	dir := t.TempDir()
	a := up(t, filepath.Join(dir, "a"))
	a.kill()
	b := up(t, filepath.Join(dir, "b"), "--join", a.addr())
	sent := make(chan result)
	go func() { sent <- b.peer("mesh", "send", "at last", "--timeout", patience.String()) }()
	port := strings.Split(a.addr(), "/")[4]
	back := start(t, exec.Command(os.Args[0]), a.dir, "--no-mdns", "--listen", "/ip4/127.0.0.1/tcp/"+port)
	if r := <-sent; r.code != 0 || r.out != "neighbours: 1\n" {
		t.Errorf("%+v", r)
	}
	if msg := back.recv(); fmt.Sprint(msg.Packets) != "[at last]" {
		t.Errorf("received %+v", msg)
	}
}

func TestRecvTakes(t *testing.T) {
	a, b, _ := line(t)
	for i := range 10 {
		a.ok("mesh", "whisper", b.ID, fmt.Sprint(i))
	}
	eventually(t, func() bool { return strings.Contains(b.ok("status", "--json"), `"waiting":10`) },
		func() string { return "10 messages do not wait" })
	if out := b.ok("mesh", "recv", "-n", "2"); out != "0\n1\n" {
		t.Errorf("the first two: %q", out)
	}
	if out := b.ok("mesh", "recv", "-f", "-n", "3"); out != "2\n3\n4\n" {
		t.Errorf("three more: %q", out)
	}
	if out := b.ok("mesh", "recv"); out != "5\n6\n7\n8\n9\n" {
		t.Errorf("the rest: %q", out)
	}
	if out := b.ok("mesh", "recv"); out != "" {
		t.Errorf("taken twice: %q", out)
	}
	if r := b.peer("mesh", "recv", "-f", "-n", "1", "--timeout", "300ms"); r.code != exitTimeout {
		t.Errorf("following nothing: %+v", r)
	}
	if r := b.peer("mesh", "recv", "-f", "--timeout", "300ms"); r.code != 0 {
		t.Errorf("following for a while: %+v", r)
	}
	a.ok("mesh", "whisper", b.ID, "--json-value", `{"b64":"/w=="}`, "1.0", `"ü"`)
	if out := b.ok("mesh", "recv", "-f", "-n", "1"); out != "\xff 1.0 ü\n" {
		t.Errorf("printed as %q", out)
	}
}

func TestSignalEndsCleanly(t *testing.T) {
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		dir := filepath.Join(t.TempDir(), "data")
		p := up(t, dir)
		follow := make(chan result)
		go func() { follow <- p.peer("mesh", "recv", "-f") }()
		if err := p.cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		if err := p.cmd.Wait(); err != nil {
			t.Errorf("%v: %v\n%s", sig, err, p.log)
		}
		if r := <-follow; r.code == 0 {
			t.Errorf("who followed was not told: %+v", r)
		}
		for _, name := range []string{"control.sock", "pid"} {
			if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
				t.Errorf("%v left %s", sig, name)
			}
		}
	}
}

// A socket's name must be short; a directory's need not be.
func TestLongDataDirectory(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 30))
	p := up(t, dir)
	if out := p.ok("status", "--json"); !strings.Contains(out, p.ID) {
		t.Error(out)
	}
	p.kill()
	q := up(t, dir)
	q.cmd.Process.Signal(os.Interrupt)
	q.cmd.Wait()
	if left, _ := os.ReadDir(os.Getenv("XDG_RUNTIME_DIR")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestSocketIsPrivate(t *testing.T) {
	p := up(t, t.TempDir())
	info, err := os.Stat(filepath.Join(p.dir, "control.sock"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestEventStream(t *testing.T) {
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

func TestTooLargeInput(t *testing.T) {
	p := up(t, t.TempDir())
	big := strings.Repeat("x", 2<<20)
	if r := p.pipe(big, "mesh", "send", "-"); r.code != exitFailure || !strings.Contains(r.err, "larger than") {
		t.Errorf("exit %d: %s", r.code, r.err)
	}
	if r := p.pipe(big[:1<<20-64], "mesh", "send", "-"); r.code != 0 {
		t.Errorf("just not too large: exit %d: %s", r.code, r.err)
	}
}

// Two machines on one Ethernet segment find each other without being told.
func TestMDNSAcrossMachines(t *testing.T) {
	machines := testnet.LAN(t, 2)
	dir := t.TempDir()
	var ps []*peerProcess
	for i, m := range machines {
		ps = append(ps, start(t, m.Command(os.Args[0]), filepath.Join(dir, fmt.Sprint(i))))
	}
	ps[0].neighbours(ps[1])
	ps[1].neighbours(ps[0])
	ps[0].ok("mesh", "whisper", ps[1].ID, "over the wire")
	if msg := ps[1].recv(); fmt.Sprint(msg.Packets) != "[over the wire]" {
		t.Errorf("received %+v", msg)
	}
	var n control.Peer
	if err := json.Unmarshal([]byte(ps[0].ok("mesh", "peers", "--json")), &n); err != nil {
		t.Fatal(err)
	}
	if n.Path != "direct" || !strings.Contains(strings.Join(n.Addrs, " "), machines[1].IP) {
		t.Errorf("%+v", n)
	}
}

// Two peers that can reach only a third one are neighbours by way of it, and
// directly when the way is free.
func TestBehindARelay(t *testing.T) {
	hub, leaves := testnet.Star(t, 2)
	dir := t.TempDir()
	relay := start(t, hub.Command(os.Args[0]), filepath.Join(dir, "relay"), "--no-mdns", "--relay")
	port := strings.Split(relay.addr(), "/")[4]
	var ps []*peerProcess
	for i, m := range leaves {
		addr := fmt.Sprintf("/ip4/%s/tcp/%s/p2p/%s", m.Gateway, port, relay.ID)
		ps = append(ps, start(t, m.Command(os.Args[0]), filepath.Join(dir, fmt.Sprint(i)),
			"--no-mdns", "--join", addr, "--via", addr))
	}
	a, b := ps[0], ps[1]
	a.neighbours(relay, b)
	b.neighbours(relay, a)
	if path := a.path(b); path != "relay" {
		t.Errorf("path %s", path)
	}
	a.ok("mesh", "send", "to all")
	for _, p := range []*peerProcess{relay, b} {
		if msg := p.recv(); fmt.Sprint(msg.Packets) != "[to all]" {
			t.Errorf("received %+v", msg)
		}
	}
	b.ok("mesh", "whisper", a.ID, "to one")
	if msg := a.recv(); fmt.Sprint(msg.Packets) != "[to one]" {
		t.Errorf("received %+v", msg)
	}

	a.ok("sync", "set", "color", "blue", "--acks", "2")
	if got := b.ok("sync", "get", "color"); got != "blue\n" {
		t.Errorf("color is %q", got)
	}

	hub.Forward(t)
	direct := ""
	for _, addr := range b.Addrs {
		if strings.Contains(addr, leaves[1].IP+"/tcp") && !strings.Contains(addr, "/ws") {
			direct = addr
		}
	}
	a.ok("mesh", "connect", direct)
	if path := a.path(b); path != "direct" {
		t.Errorf("path %s with the way free", path)
	}
}

// path is how this peer is connected to another.
func (p *peerProcess) path(to *peerProcess) string {
	p.t.Helper()
	for line := range strings.Lines(p.ok("mesh", "peers", "--json")) {
		var n control.Peer
		if err := json.Unmarshal([]byte(line), &n); err != nil {
			p.t.Fatal(err)
		}
		if n.ID == to.ID {
			return n.Path
		}
	}
	return "none"
}

func TestDoctor(t *testing.T) {
	dir := t.TempDir()
	a := up(t, filepath.Join(dir, "a"))
	b := up(t, filepath.Join(dir, "b"))
	other := up(t, filepath.Join(dir, "other"), "--network", "other")
	nobody := strings.Replace(a.addr(), a.ID, b.ID, 1) // b is not there
	gone := up(t, filepath.Join(dir, "gone"))
	gone.kill()
	for _, c := range []struct {
		name, target string
		code         int
		says         []string
	}{
		{"alone", "", exitTimeout, []string{"ok    identity", "ok    listeners", "FAIL  neighbours"}},
		{"another network", other.addr(), exitRefused, []string{"ok    dial", "FAIL  hello", "another key"}},
		{"somebody else", nobody, exitTimeout, []string{"FAIL  dial", "somebody else answers, " + a.ID}},
		{"nothing listens", gone.addr(), exitTimeout, []string{"nothing listens there", "FAIL  secure channel"}},
		{"unknown", gone.ID, exitTimeout, []string{"FAIL  address"}},
		{"nonsense", "nonsense", exitUsage, []string{"FAIL  address"}},
		{"fine", b.addr(), 0, []string{"ok    hello", "ok    clocks"}},
		{"a neighbour by its ID", b.ID, 0, []string{"ok    neighbours", "ok    clocks"}},
	} {
		args := []string{"doctor"}
		if c.target != "" {
			args = append(args, c.target)
		}
		r := a.peer(args...)
		if r.code != c.code {
			t.Errorf("%s: exit %d, want %d\n%s%s", c.name, r.code, c.code, r.out, r.err)
		}
		for _, says := range c.says {
			if !strings.Contains(r.out, says) {
				t.Errorf("%s: does not say %q\n%s", c.name, says, r.out)
			}
		}
	}
	if log := other.log.String(); !strings.Contains(log, "no common network") || !strings.Contains(log, a.ID) {
		t.Errorf("the other end's log does not say why: %s", log)
	}
	for line := range strings.Lines(a.ok("doctor", "--json")) {
		var st control.Step
		if err := json.Unmarshal([]byte(line), &st); err != nil || st.Step == "" || !st.OK {
			t.Errorf("%s: %v", line, err)
		}
	}
}
