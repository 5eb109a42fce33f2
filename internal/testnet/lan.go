package testnet

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
)

// A Machine is a network namespace that looks like a machine of its own.
type Machine struct {
	IP      string // of a machine on one network
	Gateway string // of a leaf of a star: the hub's address on the leaf's network

	name string
}

var lans atomic.Uint32

// LAN makes n machines on one isolated Ethernet segment, for the time of the test. That
// needs root on Linux. Otherwise the test is skipped, or fails if CI=true.
func LAN(t testing.TB, n int) []Machine {
	t.Helper()
	prefix := begin(t)
	sw := Machine{name: prefix + "sw"}
	sw.make(t)
	ip(t, "-n", sw.name, "link", "add", "br0", "type", "bridge")
	ip(t, "-n", sw.name, "link", "set", "br0", "up")
	machines := make([]Machine, n)
	for i := range machines {
		m := Machine{IP: fmt.Sprintf("198.51.100.%d", i+1), name: fmt.Sprint(prefix, i)}
		m.make(t)
		port := fmt.Sprint("port", i)
		ip(t, "-n", m.name, "link", "add", "eth0", "type", "veth", "peer", "name", port, "netns", sw.name)
		ip(t, "-n", m.name, "addr", "add", m.IP+"/24", "dev", "eth0")
		ip(t, "-n", m.name, "link", "set", "eth0", "up")
		ip(t, "-n", m.name, "route", "add", "default", "dev", "eth0") // for multicast
		ip(t, "-n", sw.name, "link", "set", port, "master", "br0", "up")
		machines[i] = m
	}
	return machines
}

// Star makes n machines, at most three, that can reach only the hub. The hub does not
// forward packets between them until Forward is called.
func Star(t testing.TB, n int) (hub Machine, leaves []Machine) {
	t.Helper()
	prefix := begin(t)
	hub = Machine{name: prefix + "hub"}
	hub.make(t)
	for i, network := range []string{"192.0.2.", "198.51.100.", "203.0.113."}[:n] {
		m := Machine{IP: network + "2", Gateway: network + "1", name: fmt.Sprint(prefix, i)}
		m.make(t)
		port := fmt.Sprint("port", i)
		ip(t, "-n", m.name, "link", "add", "eth0", "type", "veth", "peer", "name", port, "netns", hub.name)
		ip(t, "-n", hub.name, "addr", "add", m.Gateway+"/24", "dev", port)
		ip(t, "-n", hub.name, "link", "set", port, "up")
		ip(t, "-n", m.name, "addr", "add", m.IP+"/24", "dev", "eth0")
		ip(t, "-n", m.name, "link", "set", "eth0", "up")
		ip(t, "-n", m.name, "route", "add", "default", "via", m.Gateway)
		leaves = append(leaves, m)
	}
	return hub, leaves
}

// Forward makes a machine pass on packets between its networks.
func (m Machine) Forward(t testing.TB) {
	t.Helper()
	out, err := m.Command("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// begin checks that machines can be made and returns a prefix for their names.
func begin(t testing.TB) string {
	t.Helper()
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		unavailable(t, "making network namespaces needs root on Linux")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		unavailable(t, "making network namespaces needs the ip command")
	}
	return fmt.Sprintf("go2p%d-%d-", os.Getpid(), lans.Add(1))
}

func unavailable(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}

func (m Machine) make(t testing.TB) {
	t.Helper()
	ip(t, "netns", "add", m.name)
	t.Cleanup(func() { ip(t, "netns", "del", m.name) })
	ip(t, "-n", m.name, "link", "set", "lo", "up")
}

func ip(t testing.TB, args ...string) {
	t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// Command is exec.Command on the machine.
func (m Machine) Command(name string, args ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", m.name, name}, args...)...)
}
