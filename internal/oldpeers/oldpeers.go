// Package oldpeers starts real nodes of py2p and js2p for tests. They are installed by compat/testdata/old/install DIR, and
// GO2P_OLD names DIR.
package oldpeers

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A Node is a real node of py2p or js2p in a process of its own, driven by lines of JSON. Its methods fail the test that
// started it, unless they return an error.
type Node struct {
	Name string // language and version
	Addr string // host:port at which it listens
	ID   string

	t       testing.TB
	cmd     *exec.Cmd
	in      io.WriteCloser
	mu      sync.Mutex
	seq     int
	answers map[int]chan map[string]any
	news    []map[string]any
	changed chan struct{}
	gone    chan struct{}
}

// Installed returns where the old peers are. It skips the test if they are not installed, but not in CI.
func Installed(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("GO2P_OLD")
	if dir == "" {
		if os.Getenv("CI") != "" {
			t.Fatal("GO2P_OLD is not set, and CI needs the old peers")
		}
		t.Skip("needs real old peers: compat/testdata/old/install DIR, then GO2P_OLD=DIR")
	}
	return dir
}

// Has reports whether a version is installed. Those of 0.7 always are.
func Has(t testing.TB, language, version string) bool {
	t.Helper()
	_, err := os.Stat(filepath.Join(Installed(t), language, version))
	if err != nil && version == "0.7" {
		t.Fatal(err)
	}
	return err == nil
}

// Needs skips a test for a version that could not be had when the old peers were installed. The matrix that the tests of
// compat print shows which could.
func Needs(t testing.TB, language, version string) {
	t.Helper()
	if !Has(t, language, version) {
		t.Skipf("%s %s could not be had, as testdata/old/install said", language, version)
	}
}

var lastHost atomic.Uint32

// OwnHost returns an address of this machine that no other node has, also none of another test binary: old js nodes
// connect to one node of an address or port only.
func OwnHost() string {
	n, pid := int(lastHost.Add(1)+1), os.Getpid()
	return fmt.Sprintf("127.%d.%d.%d", 1+pid%200, pid/200%100*2+n/250, 1+n%250)
}

// FreePort returns a port that is free at an address. It skips the test if this machine has no such address.
func FreePort(t testing.TB, host string) int {
	t.Helper()
	l, err := net.Listen("tcp", host+":0")
	if err != nil {
		t.Skipf("no address %s on this machine: %v", host, err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// drivers returns the folder of the programs that drive old peers, seen from the test's package.
func drivers(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	for err == nil && dir != filepath.Dir(dir) {
		path := filepath.Join(dir, "compat/testdata/old")
		if _, err := os.Stat(path); err == nil {
			return path
		}
		dir = filepath.Dir(dir)
	}
	t.Fatal("no folder compat/testdata/old: ", err)
	return ""
}

// Start starts a node, which ends with the test. The options are those of the driver's command start.
func Start(t testing.TB, language, version string, options map[string]any) *Node {
	t.Helper()
	dir := Installed(t)
	here := drivers(t)
	path := filepath.Join(dir, language, version)
	cmd := exec.Command(filepath.Join(dir, "venv/bin/python"), filepath.Join(here, "pydriver.py"))
	if language == "js" {
		path = filepath.Join(path, "node_modules/js2p")
		cmd = exec.Command("node", filepath.Join(here, "jsdriver.js"))
	}
	cmd.Env = append(os.Environ(), "LEGACY_PATH="+path, "PYTHONDONTWRITEBYTECODE=1")
	o := &Node{
		t: t, Name: language + " " + version, cmd: cmd, answers: map[int]chan map[string]any{},
		changed: make(chan struct{}, 1), gone: make(chan struct{}),
	}
	var err error
	if o.in, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := os.Create(filepath.Join(t.TempDir(), language+version+".err"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go o.read(out)
	t.Cleanup(func() {
		o.in.Close()
		cmd.Process.Kill()
		<-o.gone
		cmd.Wait()
		if b, err := os.ReadFile(stderr.Name()); err == nil && t.Failed() {
			t.Logf("%s said:\n%s", o.Name, b[max(0, len(b)-3000):])
		}
		stderr.Close()
	})
	host := OwnHost()
	port := FreePort(t, host)
	o.Addr = fmt.Sprintf("%s:%d", host, port)
	args := map[string]any{"addr": host, "port": port}
	for k, v := range options {
		args[k] = v
	}
	o.ID = o.Must("start", args)["id"].(string)
	if language == "js" { // which says that it listens before it does
		o.Wait("listener", func() bool {
			c, err := net.Dial("tcp", o.Addr)
			if err == nil {
				c.Close()
			}
			return err == nil
		})
	}
	return o
}

func (o *Node) read(out io.Reader) {
	defer close(o.gone)
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var m map[string]any
		if json.Unmarshal(lines.Bytes(), &m) != nil {
			continue
		}
		o.mu.Lock()
		if seq, ok := m["seq"].(float64); ok {
			if c := o.answers[int(seq)]; c != nil {
				c <- m
			}
		} else {
			o.news = append(o.news, m)
			select {
			case o.changed <- struct{}{}:
			default:
			}
		}
		o.mu.Unlock()
	}
}

// Do gives the node a command and returns its answer. Errors: what the node says is wrong, or that it has ended.
func (o *Node) Do(cmd string, args map[string]any) (map[string]any, error) {
	o.mu.Lock()
	o.seq++
	seq, c := o.seq, make(chan map[string]any, 1)
	o.answers[seq] = c
	o.mu.Unlock()
	line := map[string]any{"seq": seq, "cmd": cmd}
	for k, v := range args {
		line[k] = v
	}
	b, err := json.Marshal(line)
	if err != nil {
		return nil, err
	}
	if _, err := o.in.Write(append(b, '\n')); err != nil {
		return nil, err
	}
	select {
	case m := <-c:
		if m["ok"] != true {
			return m, fmt.Errorf("%s: %s: %v", o.Name, cmd, m["error"])
		}
		return m, nil
	case <-o.gone:
		return nil, fmt.Errorf("%s has ended", o.Name)
	case <-time.After(10 * time.Minute):
		return nil, fmt.Errorf("%s: %s: no answer", o.Name, cmd)
	}
}

// Must does so, without an error.
func (o *Node) Must(cmd string, args map[string]any) map[string]any {
	o.t.Helper()
	m, err := o.Do(cmd, args)
	if err != nil {
		o.t.Fatal(err)
	}
	return m
}

// Connect has the node dial an address.
func (o *Node) Connect(addr string) {
	o.t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		o.t.Fatal(err)
	}
	n, err := net.LookupPort("tcp", port)
	if err != nil {
		o.t.Fatal(err)
	}
	o.Must("connect", map[string]any{"addr": host, "port": n})
}

// Message waits for a message with this text, and returns how often it has come by then.
func (o *Node) Message(text string) (m map[string]any, count int) {
	o.t.Helper()
	o.Wait("message "+text, func() bool {
		m, count = o.Heard(text)
		return count > 0
	})
	return m, count
}

// Heard returns a message with this text, and how often it has come.
func (o *Node) Heard(text string) (m map[string]any, count int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, n := range o.news {
		packets, _ := n["packets"].([]any)
		if n["event"] == "message" && len(packets) == 2 && Plain(packets[1]) == text {
			m = n
			count++
		}
	}
	return m, count
}

// Wait waits until something holds, for 30 s at most.
func (o *Node) Wait(what string, done func() bool) {
	o.t.Helper()
	for end := time.After(30 * time.Second); !done(); {
		select {
		case <-o.changed:
		case <-time.After(50 * time.Millisecond):
		case <-o.gone:
			o.t.Fatalf("%s has ended while waiting for %s", o.Name, what)
		case <-end:
			status, _ := o.Do("status", nil)
			o.t.Fatalf("%s: no %s; its status is %v", o.Name, what, status["status"])
		}
	}
}

// Get returns the value of a key, or nil; of a table what it has heard after a second.
func (o *Node) Get(key string) any {
	m, err := o.Do("get", map[string]any{"key": key, "wait": 1})
	if err != nil {
		return nil
	}
	return Plain(m["value"])
}

// Peers returns the IDs of those that it is connected with.
func (o *Node) Peers() (ids []string) {
	for _, p := range o.Must("peers", nil)["peers"].([]any) {
		ids = append(ids, p.(map[string]any)["id"].(string))
	}
	return ids
}

// Plain returns a value of the driver, bytes as text.
func Plain(v any) any {
	if m, ok := v.(map[string]any); ok && len(m) == 1 {
		if s, ok := m["b64"].(string); ok {
			var b []byte
			if json.Unmarshal([]byte(`"`+s+`"`), &b) == nil {
				return string(b)
			}
		}
	}
	return v
}
