package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/p2p-today/go2p/cmd/peer/control"
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

// http returns a client of the peer's control API.
func (p *peerProcess) http() *http.Client {
	return &http.Client{Timeout: patience, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(p.dir, "control.sock"))
		},
	}}
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
