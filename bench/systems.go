package main

import (
	"context"
	"time"

	"github.com/libp2p/go-libp2p"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/metrics"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/p2p-today/go2p/mesh"
)

// A system carries broadcasts from the first of n peers to the others.
type system interface {
	name() string
	// start starts n peers. What the others get is counted by heard.
	start(n int, heard func(peer int)) (publish func([]byte), stop func())
}

var systems = []system{
	go2p{},
	gossip{"gossipsub StrictSign", pubsub.StrictSign},
	gossip{"gossipsub StrictNoSign", pubsub.StrictNoSign},
	natsCore{},
}

// traffic counts the bytes that hosts send, while it is set.
var traffic *metrics.BandwidthCounter

// hosts starts n hosts of which each is connected to all others.
func hosts(n int) []host.Host {
	var hs []host.Host
	for range n {
		options := []libp2p.Option{
			libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"),
			libp2p.ResourceManager(&network.NullResourceManager{}), libp2p.DisableMetrics(),
		}
		if traffic != nil {
			options = append(options, libp2p.BandwidthReporter(traffic))
		}
		h, err := libp2p.New(options...)
		check(err)
		for _, o := range hs {
			check(h.Connect(context.Background(), peer.AddrInfo{ID: o.ID(), Addrs: o.Addrs()}))
		}
		hs = append(hs, h)
	}
	return hs
}

// closeAll closes hosts, and does not wait for ever: under load, libp2p's event bus and
// AutoNAT have been seen to wait for each other.
func closeAll(hs []host.Host) {
	closed := make(chan struct{})
	go func() {
		each(hs, func(h host.Host) { h.Close() })
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(30 * time.Second):
	}
}

type go2p struct{}

func (go2p) name() string { return "go2p" }

func (go2p) start(n int, heard func(int)) (func([]byte), func()) {
	ctx := context.Background()
	hs := hosts(n)
	var ms []*mesh.Mesh
	for i, h := range hs {
		m, err := mesh.Join(ctx, h, "bench", nil)
		check(err)
		if i > 0 {
			m.Handle(func(context.Context, mesh.Message) bool { heard(i); return true })
		}
		ms = append(ms, m)
	}
	for _, m := range ms {
		for len(m.Peers()) < n-1 {
			time.Sleep(time.Millisecond)
		}
	}
	time.Sleep(time.Second) // gossipsub grafts
	return func(data []byte) {
			_, err := ms[0].Broadcast(ctx, data)
			check(err)
		}, func() {
			for _, m := range ms {
				m.Close()
			}
			closeAll(hs)
		}
}

type gossip struct {
	title  string
	policy pubsub.MessageSignaturePolicy
}

func (g gossip) name() string { return g.title }

func (g gossip) start(n int, heard func(int)) (func([]byte), func()) {
	ctx, cancel := context.WithCancel(context.Background())
	hs := hosts(n)
	var first *pubsub.Topic
	for i, h := range hs {
		options := []pubsub.Option{
			pubsub.WithMessageSignaturePolicy(g.policy), pubsub.WithFloodPublish(true),
			// With the defaults most of a load is dropped.
			pubsub.WithPeerOutboundQueueSize(1024), pubsub.WithValidateQueueSize(1024),
		}
		if g.policy == pubsub.StrictNoSign {
			options = append(options, pubsub.WithNoAuthor(), pubsub.WithMessageIdFn(contentID))
		}
		ps, err := pubsub.NewGossipSub(ctx, h, options...)
		check(err)
		topic, err := ps.Join("bench")
		check(err)
		sub, err := topic.Subscribe(pubsub.WithBufferSize(4096))
		check(err)
		if i == 0 {
			first = topic
		}
		go func() {
			for {
				if _, err := sub.Next(ctx); err != nil {
					return
				}
				if i > 0 {
					heard(i)
				}
			}
		}()
	}
	for len(first.ListPeers()) < n-1 {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(2 * time.Second) // gossipsub grafts
	return func(data []byte) { check(first.Publish(ctx, data)) }, func() {
		cancel()
		closeAll(hs)
	}
}

type natsCore struct{}

func (natsCore) name() string { return "NATS core" }

func (natsCore) start(n int, heard func(int)) (func([]byte), func()) {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoLog: true, NoSigs: true})
	check(err)
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		panic("nats-server did not start")
	}
	var conns []*nats.Conn
	for i := range n {
		c, err := nats.Connect(s.ClientURL())
		check(err)
		if i > 0 {
			_, err = c.Subscribe("bench", func(*nats.Msg) { heard(i) })
			check(err)
			check(c.Flush())
		}
		conns = append(conns, c)
	}
	return func(data []byte) { check(conns[0].Publish("bench", data)) }, func() {
		for _, c := range conns {
			c.Close()
		}
		s.Shutdown()
	}
}
