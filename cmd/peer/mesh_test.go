package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/p2p-today/go2p/cmd/peer/control"
	"github.com/p2p-today/go2p/internal/testnet"
)

func TestMesh_ThreePeersInALineHearEachOther(t *testing.T) {
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

func TestMesh_AskWaitsForTheReply(t *testing.T) {
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

func TestMesh_RefusalIsReportedAtBothEnds(t *testing.T) {
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

func TestMesh_KilledPeerComesBack(t *testing.T) {
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

func TestMesh_SendWaitsForTheFirstNeighbour(t *testing.T) {
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

func TestMesh_RecvTakesMessagesInOrder(t *testing.T) {
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

func TestMesh_TooLargeInputIsRefused(t *testing.T) {
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
func TestMesh_PeersFindEachOtherByMDNS(t *testing.T) {
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
func TestMesh_PeersBehindARelayMeet(t *testing.T) {
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
