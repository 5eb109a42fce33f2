package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/ipfs/boxo/bitswap"
	bsnet "github.com/ipfs/boxo/bitswap/network/bsnet"
	"github.com/ipfs/boxo/blockservice"
	"github.com/ipfs/boxo/blockstore"
	"github.com/ipfs/boxo/ipld/merkledag"
	"github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
	crdt "github.com/ipfs/go-ds-crdt"
	ipfslog "github.com/ipfs/go-log/v2"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/p2p-today/go2p/mesh"
	p2psync "github.com/p2p-today/go2p/sync"
)

// A replicated is a dictionary of which several replicas can be started.
type replicated interface {
	name() string
	// open returns a function that adds a replica and connects it to those before.
	open() (add func() replica, stop func())
}

// A replica is a dictionary at one peer.
type replica interface {
	put(key string, value []byte)       // returns when it is written here
	putAll(keys []string, value []byte) // the fastest way that the system has
	sees(n int)                         // returns when it was told of so many keys
	holds(n int)                        // returns when it has so many
}

var replicateds = []replicated{go2pSync{}, dsCRDT{}, jetStream{}}

// A counter counts keys, and tells when there are enough.
type counter struct {
	n    atomic.Int64
	news chan struct{}
}

func newCounter() *counter { return &counter{news: make(chan struct{}, 1)} }

func (c *counter) add() {
	c.n.Add(1)
	select {
	case c.news <- struct{}{}:
	default:
	}
}

func (c *counter) sees(n int) {
	for int(c.n.Load()) < n {
		select {
		case <-c.news:
		case <-time.After(time.Minute):
			panic(fmt.Sprintf("%d keys of %d came in a minute", c.n.Load(), n))
		}
	}
}

func (c *counter) holds(n int) { c.sees(n) }

type go2pSync struct{}

func (go2pSync) name() string { return "go2p sync" }

func (go2pSync) open() (func() replica, func()) {
	var hs []host.Host
	var ends []func()
	return func() replica {
			ctx := context.Background()
			h := hosts(1)[0]
			m, err := mesh.Join(ctx, h, "bench", nil)
			check(err)
			d, err := p2psync.Open(ctx, m, nil)
			check(err)
			for _, o := range hs {
				check(m.Connect(ctx, peer.AddrInfo{ID: o.ID(), Addrs: o.Addrs()}))
			}
			hs = append(hs, h)
			watch, cancel := context.WithCancel(ctx)
			r := go2pReplica{d, newCounter()}
			go func() {
				for c, err := range d.Watch(watch, "first", "") {
					if err != nil {
						return
					}
					if c.Kind == p2psync.Updated {
						r.add()
					}
				}
			}()
			ends = append(ends, func() { cancel(); d.Close(); m.Close() })
			return r
		}, func() {
			for _, end := range ends {
				end()
			}
			closeAll(hs)
		}
}

type go2pReplica struct {
	*p2psync.Dict
	*counter
}

func (r go2pReplica) holds(n int) {
	for r.Len() < n {
		time.Sleep(200 * time.Microsecond)
	}
}

func (r go2pReplica) put(key string, value []byte) { check(r.Set(context.Background(), key, value)) }

func (r go2pReplica) putAll(keys []string, value []byte) {
	items := make(map[string]any, len(keys))
	for _, k := range keys {
		items[k] = value
	}
	check(r.Update(context.Background(), items))
}

type dsCRDT struct{}

func (dsCRDT) name() string { return "go-ds-crdt" }

func (dsCRDT) open() (func() replica, func()) {
	var hs []host.Host
	var ends []func()
	ipfslog.SetupLogging(ipfslog.Config{Level: ipfslog.LevelFatal})
	return func() replica {
			ctx, cancel := context.WithCancel(context.Background())
			h := hosts(1)[0]
			ps, err := pubsub.NewGossipSub(ctx, h, pubsub.WithPeerOutboundQueueSize(1024), pubsub.WithValidateQueueSize(1024))
			check(err)
			broadcaster, err := crdt.NewPubSubBroadcaster(ctx, ps, "bench")
			check(err)
			store := dssync.MutexWrap(datastore.NewMapDatastore())
			blocks := blockstore.NewBlockstore(store)
			net := bsnet.NewFromIpfsHost(h)
			exchange := bitswap.New(ctx, net, nil, blocks)
			dag := merkledag.NewDAGService(blockservice.New(blocks, exchange))
			r := crdtReplica{counter: newCounter()}
			options := crdt.DefaultOptions()
			options.Logger = ipfslog.Logger("bench")
			options.RebroadcastInterval = 500 * time.Millisecond // by which a late joiner hears what there is
			options.PutHook = func(datastore.Key, []byte) { r.add() }
			r.Datastore, err = crdt.New(store, datastore.NewKey("bench"), dag, broadcaster, options)
			check(err)
			for _, o := range hs {
				check(h.Connect(ctx, peer.AddrInfo{ID: o.ID(), Addrs: o.Addrs()}))
			}
			hs = append(hs, h)
			ends = append(ends, func() { r.Close(); exchange.Close(); cancel() })
			return r
		}, func() {
			for _, end := range ends {
				end()
			}
			closeAll(hs)
		}
}

type crdtReplica struct {
	*crdt.Datastore
	*counter
}

func (r crdtReplica) put(key string, value []byte) {
	check(r.Put(context.Background(), datastore.NewKey(key), value))
}

func (r crdtReplica) putAll(keys []string, value []byte) {
	ctx := context.Background()
	b, err := r.Batch(ctx)
	check(err)
	for _, k := range keys {
		check(b.Put(ctx, datastore.NewKey(k), value))
	}
	check(b.Commit(ctx))
}

type jetStream struct{}

func (jetStream) name() string { return "JetStream KV" }

func (jetStream) open() (func() replica, func()) {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoLog: true, NoSigs: true, JetStream: true, StoreDir: tempDir()})
	check(err)
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		panic("nats-server did not start")
	}
	first := true
	var conns []*nats.Conn
	return func() replica {
			c, err := nats.Connect(s.ClientURL())
			check(err)
			conns = append(conns, c)
			js, err := c.JetStream(nats.PublishAsyncMaxPending(4096))
			check(err)
			var kv nats.KeyValue
			if first {
				kv, err = js.CreateKeyValue(&nats.KeyValueConfig{Bucket: "bench", Storage: nats.MemoryStorage})
				first = false
			} else {
				kv, err = js.KeyValue("bench")
			}
			check(err)
			w, err := kv.WatchAll()
			check(err)
			r := jetReplica{js, kv, newCounter()}
			held := map[string][]byte{} // a replica has them itself
			go func() {
				for u := range w.Updates() {
					if u != nil {
						held[u.Key()] = u.Value()
						r.add()
					}
				}
			}()
			return r
		}, func() {
			for _, c := range conns {
				c.Close()
			}
			s.Shutdown()
		}
}

type jetReplica struct {
	js nats.JetStreamContext
	kv nats.KeyValue
	*counter
}

func (r jetReplica) put(key string, value []byte) {
	_, err := r.kv.Put(key, value)
	check(err)
}

func (r jetReplica) putAll(keys []string, value []byte) {
	for _, k := range keys {
		_, err := r.js.PublishAsync("$KV.bench."+k, value)
		check(err)
	}
	<-r.js.PublishAsyncComplete()
}
