package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	dht "github.com/libp2p/go-libp2p-kad-dht"
	dhtpb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/routing"

	"github.com/p2p-today/go2p/chord"
	"github.com/p2p-today/go2p/mesh"
)

// A spread is a table that is spread over peers.
type spread interface {
	name() string
	// open makes one peer of each host and returns when all know their places.
	open(hs []host.Host) cluster
}

// A cluster is the peers of one table.
type cluster interface {
	get(peer int, key string)
	set(peer int, key string, value []byte)
	asked() uint64 // requests so far
	stop()
}

var spreads = []spread{go2pChord{}, kadDHT{quorum: 1}, kadDHT{}}

// some are up to n hosts before the i-th, by chance.
func some(hs []host.Host, i, n int) []peer.AddrInfo {
	var infos []peer.AddrInfo
	for _, j := range rand.Perm(i)[:min(i, n)] {
		infos = append(infos, peer.AddrInfo{ID: hs[j].ID(), Addrs: hs[j].Addrs()})
	}
	return infos
}

// each does something with all at once.
func each[T any](all []T, f func(T)) {
	var wg sync.WaitGroup
	for _, x := range all {
		wg.Go(func() { f(x) })
	}
	wg.Wait()
}

type go2pChord struct{}

func (go2pChord) name() string { return "go2p chord, a majority of five" }

type chordCluster struct {
	meshes []*mesh.Mesh
	tables []*chord.Table
}

func (go2pChord) open(hs []host.Host) cluster {
	ctx := context.Background()
	c := &chordCluster{}
	for i, h := range hs {
		m, err := mesh.Join(ctx, h, "bench", nil)
		check(err)
		for _, info := range some(hs, i, 1) {
			check(m.Connect(ctx, info))
		}
		t, err := chord.Open(ctx, m, nil)
		check(err)
		joining, cancel := context.WithTimeout(ctx, time.Minute)
		check(t.Join(joining))
		cancel()
		c.meshes, c.tables = append(c.meshes, m), append(c.tables, t)
	}
	for _, t := range c.tables {
		for t.Status().Backfilling {
			time.Sleep(10 * time.Millisecond)
		}
	}
	return c
}

func (c *chordCluster) get(i int, key string) {
	_, err := c.tables[i].Get(context.Background(), key)
	check(err)
}

func (c *chordCluster) set(i int, key string, value []byte) {
	check(c.tables[i].Set(context.Background(), key, value))
}

func (c *chordCluster) asked() (n uint64) {
	for _, t := range c.tables {
		n += t.Status().Questions
	}
	return n
}

func (c *chordCluster) stop() {
	each(c.tables, func(t *chord.Table) { t.Close() }) // all at once: else those that are left make up for each
	each(c.meshes, func(m *mesh.Mesh) { m.Close() })
}

// kadDHT is a table as libp2p has it; with a quorum of 0 its default for reads, which is
// to ask until it has seen sixteen records or nobody is left.
type kadDHT struct{ quorum int }

func (k kadDHT) name() string {
	if k.quorum == 0 {
		return "kad-dht v0.40.0, default quorum"
	}
	return fmt.Sprintf("kad-dht v0.40.0, quorum %d", k.quorum)
}

type kadCluster struct {
	nodes    []*dht.IpfsDHT
	quorum   int
	requests *atomic.Uint64
}

// anything accepts every record.
type anything struct{}

func (anything) Validate(string, []byte) error        { return nil }
func (anything) Select(string, [][]byte) (int, error) { return 0, nil }

func (k kadDHT) open(hs []host.Host) cluster {
	ctx := context.Background()
	c := &kadCluster{quorum: k.quorum, requests: &atomic.Uint64{}}
	for i, h := range hs {
		d, err := dht.New(ctx, h, dht.Mode(dht.ModeServer), dht.ProtocolPrefix("/bench"), dht.NamespacedValidator("v", anything{}),
			dht.BootstrapPeers(some(hs, i, 8)...), dht.AddressFilter(nil),
			dht.OnRequestHook(func(context.Context, network.Stream, *dhtpb.Message) { c.requests.Add(1) }))
		check(err)
		check(d.Bootstrap(ctx))
		for _, info := range some(hs, i, 8) {
			h.Connect(ctx, info) // may fail where both dial at once; the others do
		}
		c.nodes = append(c.nodes, d)
	}
	time.Sleep(time.Second)
	for _, d := range c.nodes {
		check(<-d.RefreshRoutingTable())
	}
	return c
}

func (c *kadCluster) get(i int, key string) {
	var opts []routing.Option
	if c.quorum > 0 {
		opts = append(opts, dht.Quorum(c.quorum))
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel() // else what it has asked more than the quorum is there for ever
	_, err := c.nodes[i].GetValue(ctx, "/v/"+key, opts...)
	check(err)
}

func (c *kadCluster) set(i int, key string, value []byte) {
	check(c.nodes[i].PutValue(context.Background(), "/v/"+key, value))
}

func (c *kadCluster) asked() uint64 { return c.requests.Load() }

func (c *kadCluster) stop() {
	each(c.nodes, func(d *dht.IpfsDHT) { d.Close() })
}
