package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	ma "github.com/multiformats/go-multiaddr"
)

// loopback starts a host that listens on this machine alone, on free ports.
func loopback(t *testing.T, o Options) host.Host {
	t.Helper()
	o.NoMDNS = true
	if o.Listen == nil {
		for _, a := range []string{
			"/ip4/127.0.0.1/udp/0/quic-v1", "/ip4/127.0.0.1/udp/0/quic-v1/webtransport",
			"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/tcp/0/ws",
		} {
			o.Listen = append(o.Listen, ma.StringCast(a))
		}
	}
	h, err := New(&o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

func connect(ctx context.Context, t *testing.T, from host.Host, to peer.AddrInfo) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := from.Connect(ctx, to); err != nil {
		t.Fatal(err)
	}
}

func TestEachTransportConnects(t *testing.T) {
	server := loopback(t, Options{})
	kinds := map[string]bool{}
	for _, addr := range server.Addrs() {
		protocols := addr.Protocols()
		kind := protocols[len(protocols)-1].Name
		if kind == "certhash" {
			kind = "webtransport"
		}
		kinds[kind] = true
		c := loopback(t, Options{})
		connect(t.Context(), t, c, peer.AddrInfo{ID: server.ID(), Addrs: []ma.Multiaddr{addr}})
		if got := c.Network().ConnsToPeer(server.ID())[0].RemoteMultiaddr().String(); !strings.Contains(got, kind) {
			t.Errorf("connected over %s instead of %s", got, kind)
		}
	}
	for _, kind := range []string{"quic-v1", "webtransport", "tcp", "ws"} {
		if !kinds[kind] {
			t.Errorf("no address for %s among %v", kind, server.Addrs())
		}
	}
}

func TestIdentitySurvives(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made")
	first := loopback(t, Options{DataDir: dir})
	first.Close()
	if again := loopback(t, Options{DataDir: dir}); again.ID() != first.ID() {
		t.Errorf("%s became %s", first.ID(), again.ID())
	}
	if _, err := NewIdentity(dir); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second identity: %v", err)
	}
	if _, err := LoadIdentity(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no identity: %v", err)
	}
}

func TestBadIdentityIsRefused(t *testing.T) {
	dir := t.TempDir()
	if _, err := NewIdentity(dir); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, KeyFile)
	if runtime.GOOS != "windows" {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("stored with %v, %v", info.Mode(), err)
		}
		for _, mode := range []fs.FileMode{0o640, 0o604, 0o620} {
			if err := os.Chmod(name, mode); err != nil {
				t.Fatal(err)
			}
			if _, err := New(&Options{DataDir: dir, NoMDNS: true}); err == nil || !strings.Contains(err.Error(), "chmod 600 "+name) {
				t.Errorf("mode %o: %v", mode, err)
			}
		}
	}
	if err := os.WriteFile(name, []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	os.Chmod(name, 0o600)
	if _, err := New(&Options{DataDir: dir, NoMDNS: true}); err == nil || !strings.Contains(err.Error(), name) {
		t.Errorf("damaged: %v", err)
	}
}

func TestTakenPortIsReplacedAndRemembered(t *testing.T) {
	dir := t.TempDir()
	taken, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	remember(t, dir, port)
	addrs, err := listenAddrs(dir)
	if err != nil {
		t.Fatal(err)
	}
	other, err := rememberedPort(dir)
	if err != nil || other == port || other == 0 {
		t.Fatalf("remembered port %d, %v", other, err)
	}
	again, err := listenAddrs(dir)
	if err != nil || addrs[0].String() != again[0].String() || len(addrs) != 8 {
		t.Errorf("%v, then %v, %v", addrs, again, err)
	}
	if err := os.WriteFile(filepath.Join(dir, portFile), []byte("port"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := listenAddrs(dir); err == nil {
		t.Error("a damaged port file was taken")
	}
	if port, err := rememberedPort(""); err != nil || port != DefaultPort {
		t.Errorf("without a directory: %d, %v", port, err)
	}
}

func remember(t *testing.T, dir string, port int) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, portFile), []byte(fmt.Sprintln(port)), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestRelayServiceIsOptIn(t *testing.T) {
	for _, offers := range []bool{false, true} {
		relay := loopback(t, Options{RelayService: offers})
		h := loopback(t, Options{})
		connect(t.Context(), t, h, peer.AddrInfo{ID: relay.ID(), Addrs: relay.Addrs()})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		_, err := client.Reserve(ctx, h, peer.AddrInfo{ID: relay.ID(), Addrs: relay.Addrs()})
		cancel()
		if got := err == nil; got != offers {
			t.Errorf("relay service %v: reservation %v", offers, err)
		}
		if !offers {
			continue
		}
		// Somebody who knows only the way by the relay gets through.
		third := loopback(t, Options{})
		way := ma.StringCast(relay.Addrs()[0].String() + "/p2p/" + relay.ID().String() + "/p2p-circuit")
		ctx, cancel = context.WithTimeout(network.WithAllowLimitedConn(t.Context(), "test"), time.Minute)
		defer cancel()
		if err := third.Connect(ctx, peer.AddrInfo{ID: h.ID(), Addrs: []ma.Multiaddr{way}}); err != nil {
			t.Error(err)
		}
	}
}

// Tens of peers behind one address are a lab, hundreds at once an attack. Loopback
// is free of limits, so the limits are asked themselves.
func TestManyPeersBehindOneAddress(t *testing.T) {
	resources, err := limits()
	if err != nil {
		t.Fatal(err)
	}
	defer resources.Close()
	from := ma.StringCast("/ip4/203.0.113.7/udp/4001/quic-v1")
	opened := 0
	for range 2 * perIP {
		if scope, err := resources.OpenConnection(network.DirInbound, false, from); err == nil {
			opened++
			scope.SetPeer(peer.ID(fmt.Sprint("peer", opened)))
		}
	}
	if opened < 50 || opened > perIP {
		t.Errorf("%d connections from one address", opened)
	}
}

func TestUnusableAddressIsAnError(t *testing.T) {
	h, err := New(&Options{NoMDNS: true, Listen: []ma.Multiaddr{ma.StringCast("/ip4/192.0.2.1/tcp/0")}})
	if err == nil {
		h.Close()
		t.Error("listening on somebody else's address was no error")
	}
}
