package compat

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

// An old is a real node of py2p or js2p in a process of its own, driven by lines of JSON.
type old struct {
	t       testing.TB
	name    string
	addr    string
	id      string
	cmd     *exec.Cmd
	in      io.WriteCloser
	mu      sync.Mutex
	seq     int
	answers map[int]chan map[string]any
	news    []map[string]any
	changed chan struct{}
	gone    chan struct{}
}

// installed is where the old peers are, by testdata/old/install. The test is skipped where
// they are not, but not in CI.
func installed(t testing.TB) string {
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

// has tells whether a version is installed. Those of 0.7 always are.
func has(t testing.TB, language, version string) bool {
	t.Helper()
	_, err := os.Stat(filepath.Join(installed(t), language, version))
	if err != nil && version == "0.7" {
		t.Fatal(err)
	}
	return err == nil
}

// needs skips a test for a version that could not be had when the old peers were installed.
// The matrix that the tests print shows which could.
func needs(t testing.TB, language, version string) {
	t.Helper()
	if !has(t, language, version) {
		t.Skipf("%s %s could not be had, as testdata/old/install said", language, version)
	}
}

var lastHost atomic.Uint32

// ownHost is an address of this machine that no other node has: old js nodes connect to
// one node of an address or port only.
func ownHost() string {
	n := lastHost.Add(1) + 1
	return fmt.Sprintf("127.%d.%d.%d", 1+os.Getpid()%200, n/250, 1+n%250)
}

func freePort(t testing.TB, host string) int {
	t.Helper()
	l, err := net.Listen("tcp", host+":0")
	if err != nil {
		t.Skipf("no address %s on this machine: %v", host, err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// startOld starts a node.
func startOld(t testing.TB, language, version string, options map[string]any) *old {
	t.Helper()
	dir := installed(t)
	here, err := filepath.Abs("testdata/old")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, language, version)
	cmd := exec.Command(filepath.Join(dir, "venv/bin/python"), filepath.Join(here, "pydriver.py"))
	if language == "js" {
		path = filepath.Join(path, "node_modules/js2p")
		cmd = exec.Command("node", filepath.Join(here, "jsdriver.js"))
	}
	cmd.Env = append(os.Environ(), "LEGACY_PATH="+path, "PYTHONDONTWRITEBYTECODE=1")
	o := &old{
		t: t, name: language + " " + version, cmd: cmd, answers: map[int]chan map[string]any{},
		changed: make(chan struct{}, 1), gone: make(chan struct{}),
	}
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
			t.Logf("%s said:\n%s", o.name, b[max(0, len(b)-3000):])
		}
		stderr.Close()
	})
	host := ownHost()
	port := freePort(t, host)
	o.addr = fmt.Sprintf("%s:%d", host, port)
	args := map[string]any{"addr": host, "port": port}
	for k, v := range options {
		args[k] = v
	}
	o.id = o.must("start", args)["id"].(string)
	if language == "js" { // which says that it listens before it does
		o.wait("listener", func() bool {
			c, err := net.Dial("tcp", o.addr)
			if err == nil {
				c.Close()
			}
			return err == nil
		})
	}
	return o
}

func (o *old) read(out io.Reader) {
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

// do gives the node a command and returns its answer, or an error.
func (o *old) do(cmd string, args map[string]any) (map[string]any, error) {
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
			return m, fmt.Errorf("%s: %s: %v", o.name, cmd, m["error"])
		}
		return m, nil
	case <-o.gone:
		return nil, fmt.Errorf("%s has ended", o.name)
	case <-time.After(10 * time.Minute):
		return nil, fmt.Errorf("%s: %s: no answer", o.name, cmd)
	}
}

func (o *old) must(cmd string, args map[string]any) map[string]any {
	o.t.Helper()
	m, err := o.do(cmd, args)
	if err != nil {
		o.t.Fatal(err)
	}
	return m
}

// connect has the node dial an address.
func (o *old) connect(addr string) {
	o.t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		o.t.Fatal(err)
	}
	n, err := net.LookupPort("tcp", port)
	if err != nil {
		o.t.Fatal(err)
	}
	o.must("connect", map[string]any{"addr": host, "port": n})
}

// message waits for a message with this text, and returns how often it has come by then.
func (o *old) message(text string) (m map[string]any, count int) {
	o.t.Helper()
	o.wait("message "+text, func() bool {
		m, count = o.heard(text)
		return count > 0
	})
	return m, count
}

// heard is a message with this text, and how often it has come.
func (o *old) heard(text string) (m map[string]any, count int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, n := range o.news {
		packets, _ := n["packets"].([]any)
		if n["event"] == "message" && len(packets) == 2 && plain(packets[1]) == text {
			m = n
			count++
		}
	}
	return m, count
}

func (o *old) wait(what string, done func() bool) {
	o.t.Helper()
	for end := time.After(30 * time.Second); !done(); {
		select {
		case <-o.changed:
		case <-time.After(50 * time.Millisecond):
		case <-o.gone:
			o.t.Fatalf("%s has ended while waiting for %s", o.name, what)
		case <-end:
			status, _ := o.do("status", nil)
			o.t.Fatalf("%s: no %s; its status is %v", o.name, what, status["status"])
		}
	}
}

// get is the value of a key, or nil; of a table what it has heard after a second.
func (o *old) get(key string) any {
	m, err := o.do("get", map[string]any{"key": key, "wait": 1})
	if err != nil {
		return nil
	}
	return plain(m["value"])
}

// peers are the IDs of those that it is connected with.
func (o *old) peers() (ids []string) {
	for _, p := range o.must("peers", nil)["peers"].([]any) {
		ids = append(ids, p.(map[string]any)["id"].(string))
	}
	return ids
}

// plain is a value of the driver, bytes as text.
func plain(v any) any {
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
