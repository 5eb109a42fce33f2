// Package testnet runs hosts on a simulated network in virtual time.
//
// A test calls [Run], which starts a bubble of testing/synctest, and [New] in it. New makes
// libp2p hosts with QUIC over go-libp2p's simulated network, which can delay and lose
// packets and be partitioned. Minutes of protocol pass in milliseconds.
//
// Scheduling is not replayed exactly. Such a test prints its seed, and asserts only what
// must hold in any order of events.
package testnet

import (
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"os"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/x/simlibp2p"
	"github.com/marcopolo/simnet"
)

// never is the delay of a lost packet, longer than any test waits.
const never = 10_000 * time.Hour

// Run runs f in virtual time, and fails if a goroutine is left at its end. The seed is that
// of the environment variable GO2P_SEED, or random. A test that fails prints it.
func Run(t *testing.T, f func(t *testing.T, seed uint64)) {
	t.Helper()
	seed := mathrand.Uint64()
	if text := os.Getenv("GO2P_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("GO2P_SEED=%d", seed)
		}
	})
	synctest.Test(t, func(t *testing.T) { f(t, seed) })
}

// A Net is a simulated network. Its hosts are closed with the test.
type Net struct {
	Hosts []host.Host

	t    testing.TB
	sim  *simnet.Simnet
	keys []crypto.PrivKey

	mu      sync.Mutex
	rng     *mathrand.Rand
	index   map[string]int // of a host by its IP address
	side    []int          // of the partition, by host
	blocked map[[2]int]bool
	latency time.Duration
	loss    float64
}

const linkSpeed = 100 * simlibp2p.OneMbps

// New starts n hosts, 5 ms apart, that do not know each other. It must be called inside of
// Run.
func New(t testing.TB, seed uint64, n int) *Net {
	t.Helper()
	w := &Net{
		t: t, rng: mathrand.New(mathrand.NewPCG(seed, 0)), index: map[string]int{}, blocked: map[[2]int]bool{},
		Hosts: make([]host.Host, n), keys: make([]crypto.PrivKey, n), side: make([]int, n),
		latency: 5 * time.Millisecond,
	}
	w.sim = &simnet.Simnet{LatencyFunc: w.delay, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
	w.sim.Start()
	for i := range n {
		key, _, err := crypto.GenerateEd25519Key(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		w.keys[i] = key
		w.index[simnet.IntToPublicIPv4(i).String()] = i
		w.start(i)
	}
	t.Cleanup(w.Close)
	return w
}

// Close ends the hosts and the network, as the end of the test would.
func (w *Net) Close() {
	for _, h := range w.Hosts {
		h.Close()
	}
	w.sim.Close()
}

func (w *Net) start(i int) {
	w.t.Helper()
	link := simnet.LinkSettings{BitsPerSecond: linkSpeed}
	h, err := libp2p.New(
		libp2p.Identity(w.keys[i]),
		libp2p.ListenAddrStrings(fmt.Sprintf("/ip4/%s/udp/8000/quic-v1", simnet.IntToPublicIPv4(i))),
		simlibp2p.QUICSimnet(w.sim, simnet.NodeBiDiLinkSettings{Downlink: link, Uplink: link}),
		libp2p.DisableIdentifyAddressDiscovery(), // it stalls virtual time
		libp2p.ResourceManager(&network.NullResourceManager{}),
		libp2p.DisableMetrics(),
		libp2p.ForceReachabilityPublic(), // for the relay service
		libp2p.EnableRelayService(),
	)
	if err != nil {
		w.t.Fatal(err)
	}
	w.Hosts[i] = h
}

// delay returns the latency of a packet.
func (w *Net) delay(p *simnet.Packet) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	from, to := w.index[ipOf(p.From)], w.index[ipOf(p.To)]
	if w.side[from] != w.side[to] || w.blocked[[2]int{from, to}] || w.rng.Float64() < w.loss {
		return never
	}
	return w.latency
}

func ipOf(a net.Addr) string { return a.(*net.UDPAddr).IP.String() }

// Latency sets the latency of all packets.
func (w *Net) Latency(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.latency = d
}

// Loss sets the fraction of packets that are lost, from 0 to 1.
func (w *Net) Loss(share float64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.loss = share
}

// Cut puts the named hosts on one side of a partition and all others on the other.
// Without a name it heals the network.
func (w *Net) Cut(hosts ...int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.side)
	for _, i := range hosts {
		w.side[i] = 1
	}
}

// Block cuts the way between two hosts, or with false restores it.
func (w *Net) Block(i, j int, cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.blocked[[2]int{i, j}], w.blocked[[2]int{j, i}] = cut, cut
}

// Kill ends a host without a message to the others. Restart starts it again with its key
// and address, but without what ran on it.
func (w *Net) Kill(i int) {
	w.mu.Lock()
	w.side[i] = 2 + i
	w.mu.Unlock()
	w.Hosts[i].Close()
}

// Restart starts a killed host.
func (w *Net) Restart(i int) {
	w.mu.Lock()
	w.side[i] = 0
	w.mu.Unlock()
	w.start(i)
}

// Info returns the ID and addresses of a host.
func (w *Net) Info(i int) peer.AddrInfo {
	return peer.AddrInfo{ID: w.Hosts[i].ID(), Addrs: w.Hosts[i].Addrs()}
}
