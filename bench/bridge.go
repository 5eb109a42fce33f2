package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/libp2p/go-libp2p"

	"github.com/p2p-today/go2p/compat"
	"github.com/p2p-today/go2p/compat/bridge"
	"github.com/p2p-today/go2p/mesh"
)

// measureBridge compares what a bridge carries between two nodes of py2p 0.7 in networks of
// their own with what two in one network exchange.
func measureBridge(out *tabwriter.Writer, s scale) {
	if os.Getenv("GO2P_OLD") == "" {
		fmt.Fprint(out, "bridge: needs real old peers: compat/testdata/old/install DIR, then GO2P_OLD=DIR\n\n")
		return
	}
	const burst = 20      // more at once they lose
	length := 30 * s.load // old nodes slow down with all that they remember
	title := fmt.Sprintf("broadcasts/s from one py2p 0.7 node to another, %d at once, for %v", burst, length)
	row(out, title, s.runs, ways, func(w way) float64 { return hears(w, burst, length) })
	out.Flush()
}

// A way is how the words of one old node come to another.
type way struct {
	title   string
	subnets [2]string
	connect func(from, to *pyNode) (end func())
}

func (w way) name() string { return w.title }

var ways = []way{
	{"go2p bridge", [2]string{"one", "two"}, bridged},
	{"directly", [2]string{"same", "same"}, func(from, to *pyNode) func() {
		from.do("connect", map[string]any{"addr": to.host, "port": to.port})
		for to.peers() == 0 {
			time.Sleep(10 * time.Millisecond)
		}
		return func() {}
	}},
}

// bridged connects two networks by a bridge.
func bridged(from, to *pyNode) func() {
	ctx := context.Background()
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"))
	check(err)
	m, err := mesh.Join(ctx, h, "bench", nil)
	check(err)
	b := bridge.New(m, nil)
	for _, n := range []*pyNode{from, to} {
		opts := compat.Options{Kind: compat.Mesh, Version: "0.7", Subnet: n.subnet}
		_, err := b.Add(ctx, "", opts, fmt.Sprintf("%s:%d", n.host, n.port))
		check(err)
	}
	for ready := false; !ready; time.Sleep(10 * time.Millisecond) {
		ready = true
		for _, l := range b.Links() {
			ready = ready && l.Elected
		}
	}
	return func() {
		check(b.Close())
		check(m.Close())
		check(h.Close())
	}
}

// hears is how many broadcasts a second one node hears of another.
func hears(w way, burst int, length time.Duration) float64 {
	from, to := startPy("127.0.1.1", w.subnets[0]), startPy("127.0.1.2", w.subnets[1])
	defer from.end()
	defer to.end()
	defer w.connect(from, to)()
	heard := 0.0
	start := time.Now()
	for i := 0; time.Since(start) < length; i++ {
		from.do("burst", map[string]any{"count": burst, "packets": []string{fmt.Sprint(i)}})
		heard += to.do("stats", map[string]any{"count": burst, "wait": 2})["count"].(float64)
		if to.peers() == 0 {
			break // as happens between them
		}
	}
	return heard / time.Since(start).Seconds()
}

// A pyNode is a real node of py2p 0.7, driven by lines of JSON.
type pyNode struct {
	host, subnet string
	port         int
	cmd          *exec.Cmd
	in           io.WriteCloser
	out          *bufio.Scanner
}

func startPy(host, subnet string) *pyNode {
	l, err := net.Listen("tcp", host+":0")
	check(err)
	n := &pyNode{host: host, subnet: subnet, port: l.Addr().(*net.TCPAddr).Port}
	l.Close()
	dir := os.Getenv("GO2P_OLD")
	driver, err := filepath.Abs("../compat/testdata/old/pydriver.py")
	check(err)
	n.cmd = exec.Command(filepath.Join(dir, "venv/bin/python"), driver)
	n.cmd.Env = append(os.Environ(), "LEGACY_PATH="+filepath.Join(dir, "py/0.7"), "PYTHONDONTWRITEBYTECODE=1")
	n.in, err = n.cmd.StdinPipe()
	check(err)
	out, err := n.cmd.StdoutPipe()
	check(err)
	n.out = bufio.NewScanner(out)
	check(n.cmd.Start())
	n.do("start", map[string]any{"addr": host, "port": n.port, "subnet": subnet, "quiet": true})
	return n
}

func (n *pyNode) end() {
	n.in.Close()
	n.cmd.Process.Kill()
	n.cmd.Wait()
}

// do gives the node a command and returns its answer.
func (n *pyNode) do(cmd string, args map[string]any) map[string]any {
	line := map[string]any{"seq": 1, "cmd": cmd}
	for k, v := range args {
		line[k] = v
	}
	check(json.NewEncoder(n.in).Encode(line))
	for n.out.Scan() {
		var m map[string]any
		check(json.Unmarshal(n.out.Bytes(), &m))
		if m["seq"] == nil {
			continue // an event
		}
		if m["ok"] != true {
			panic(fmt.Sprintf("%s: %v", cmd, m["error"]))
		}
		return m
	}
	panic("the old node has ended")
}

func (n *pyNode) peers() int { return len(n.do("peers", nil)["peers"].([]any)) }
