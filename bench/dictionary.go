package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/metrics"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/mesh"
	p2psync "github.com/p2p-today/go2p/sync"
)

func tempDir() string {
	dir, err := os.MkdirTemp("", "bench-")
	check(err)
	return dir
}

// keys returns n keys that begin with a name.
func keys(name string, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("%s-%08x", name, uint32(i)*2654435761)
	}
	return list
}

// three opens three replicas that are ready.
func three(sys replicated) (rs [3]replica, stop func()) {
	add, stop := sys.open()
	for i := range rs {
		rs[i] = add()
	}
	time.Sleep(2 * time.Second) // gossipsub grafts, replicas find each other
	rs[0].put("first", nil)
	for _, r := range rs {
		r.sees(1)
	}
	return rs, stop
}

// onePut returns the median time in microseconds from a put until another peer has
// seen it.
func onePut(sys replicated, count int) float64 {
	rs, stop := three(sys)
	defer stop()
	var times []float64
	value := make([]byte, 100)
	for i, k := range keys("first", count) {
		time.Sleep(5 * time.Millisecond)
		start := time.Now()
		rs[0].put(k, value)
		rs[1].sees(i + 2)
		times = append(times, float64(time.Since(start).Nanoseconds())/1000)
	}
	return median(times)
}

// manyPuts returns how many milliseconds it takes until three replicas have keys that
// one writes.
func manyPuts(sys replicated, n int) float64 {
	rs, stop := three(sys)
	defer stop()
	value, list := make([]byte, 100), keys("k", n)
	start := time.Now()
	rs[0].putAll(list, value)
	for _, r := range rs {
		r.holds(n + 1)
	}
	return float64(time.Since(start).Microseconds()) / 1000
}

// lateJoiner returns how many milliseconds it takes a new replica to have all keys.
func lateJoiner(sys replicated, n int) float64 {
	add, stop := sys.open()
	defer stop()
	first := add()
	value := make([]byte, 100)
	list := keys("k", n)
	for len(list) > 0 {
		chunk := list[:min(len(list), 1000)]
		list = list[len(chunk):]
		first.putAll(chunk, value)
	}
	first.holds(n)
	runtime.GC()
	start := time.Now()
	late := add()
	late.holds(n)
	return float64(time.Since(start).Microseconds()) / 1000
}

// meet returns how many milliseconds it takes two equal replicas of go2p that meet to
// know that they are, and how many bytes of their protocol they have sent for it, each
// asking the other.
func meet(n int) (ms, bytes float64) {
	traffic = metrics.NewBandwidthCounter()
	defer func() { traffic = nil }()
	ctx := context.Background()
	hs := hosts(2)
	var ms2 [2]*mesh.Mesh
	var ds [2]*p2psync.Dict
	for i, h := range hs {
		m, err := mesh.Join(ctx, h, "bench", nil)
		check(err)
		d, err := p2psync.Open(ctx, m, nil)
		check(err)
		ms2[i], ds[i] = m, d
	}
	defer func() {
		for i := range hs {
			ds[i].Close()
			ms2[i].Close()
		}
		closeAll(hs)
	}()
	other := peer.AddrInfo{ID: hs[1].ID(), Addrs: hs[1].Addrs()}
	check(ms2[0].Connect(ctx, other))
	value := make([]byte, 100)
	for list := keys("k", n); len(list) > 0; {
		chunk := list[:min(len(list), 1000)]
		list = list[len(chunk):]
		go2pReplica{Dict: ds[0]}.putAll(chunk, value)
	}
	for ds[1].Len() < n {
		time.Sleep(10 * time.Millisecond)
	}
	time.Sleep(20 * time.Second) // all is quiet
	check(ms2[0].Disconnect(hs[1].ID()))
	time.Sleep(2 * time.Second)
	sent := func() (all float64) {
		time.Sleep(2 * time.Second) // the counter brings its totals up to date once a second
		for id, s := range traffic.GetBandwidthByProtocol() {
			if strings.HasSuffix(string(id), "/sync/1.0.0") {
				all += float64(s.TotalOut)
			}
		}
		return all
	}
	before := sent()
	start := time.Now()
	check(ms2[0].Connect(ctx, other))
	check(ds[0].AwaitInSync(ctx))
	ms = float64(time.Since(start).Microseconds()) / 1000
	return ms, sent() - before
}

// memory returns how many bytes of memory a key takes in each of two replicas.
func memory(sys replicated, n int) float64 {
	add, stop := sys.open()
	defer stop()
	first := add()
	first.holds(0)
	add()
	time.Sleep(time.Second)
	before := heap()
	value := make([]byte, 100)
	list := keys("k", n)
	for i := 0; i < n; i += 1000 {
		first.putAll(list[i:min(n, i+1000)], value)
	}
	first.holds(n)
	time.Sleep(10 * time.Second) // what gossipsub keeps to repeat is gone
	return (heap() - before) / float64(2*n)
}

func heap() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}
