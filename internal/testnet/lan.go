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
	IP string

	name string
}

var lans atomic.Uint32

// LAN makes n machines on one Ethernet segment without a way out of it, for the
// time of the test. Making them needs root on Linux: otherwise the test is skipped,
// or with CI=true fails.
func LAN(t testing.TB, n int) []Machine {
	t.Helper()
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		unavailable(t, "making network namespaces needs root on Linux")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		unavailable(t, "making network namespaces needs the ip command")
	}
	prefix := fmt.Sprintf("go2p%d-%d-", os.Getpid(), lans.Add(1))
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
