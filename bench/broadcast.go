package main

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/metrics"

	pb "github.com/libp2p/go-libp2p-pubsub/pb"
)

func contentID(m *pb.Message) string {
	sum := sha256.Sum256(m.Data)
	return string(sum[:16])
}

// inFlight is how many messages may be under way to the slowest peer.
const inFlight = 1024

// lost is how long to wait for a message that will not come: gossipsub may drop
// some under load, and what was dropped counts for nothing.
const lost = 2 * time.Second

// A tally counts what each peer has heard.
type tally struct {
	mu    sync.Mutex
	cond  *sync.Cond
	heard []int
}

func newTally(n int) *tally {
	t := &tally{heard: make([]int, n)}
	t.cond = sync.NewCond(&t.mu)
	return t
}

func (t *tally) add(peer int) {
	t.mu.Lock()
	t.heard[peer]++
	t.mu.Unlock()
	t.cond.Broadcast()
}

// await waits until all have heard n, and tells how many all have heard if it is
// less in the end.
func (t *tally) await(n int) int {
	timer := time.AfterFunc(lost, t.cond.Broadcast)
	defer timer.Stop()
	end := time.Now().Add(lost)
	t.mu.Lock()
	defer t.mu.Unlock()
	for slices.Min(t.heard[1:]) < n && time.Now().Before(end) {
		t.cond.Wait()
	}
	return slices.Min(t.heard[1:])
}

// payloads returns how many times its size is sent for each delivery of a message
// under load. What is lost counts as not delivered.
func payloads(sys system, n, size int, d time.Duration) float64 {
	traffic = metrics.NewBandwidthCounter()
	defer func() { traffic = nil }()
	all, _ := load(sys, n, size, d)
	time.Sleep(3 * time.Second) // the counter brings its totals up to date once a second
	return float64(traffic.GetBandwidthTotals().TotalOut) / (all * float64(n-1) * float64(size))
}

// underLoad returns how many messages a second reach all peers.
func underLoad(sys system, n, size int, d time.Duration) float64 {
	all, took := load(sys, n, size, d)
	return all / took.Seconds()
}

// load publishes for a while and returns how many messages reached all peers, and
// when the last did.
func load(sys system, n, size int, d time.Duration) (float64, time.Duration) {
	t := newTally(n)
	publish, stop := sys.start(n, t.add)
	defer stop()
	data := make([]byte, size)
	start := time.Now()
	sent, all := 0, 0
	for time.Since(start) < d {
		binary.BigEndian.PutUint64(data, uint64(sent))
		publish(slices.Clone(data))
		sent++
		if sent-all >= inFlight {
			if all = t.await(sent - inFlight/2); all < sent-inFlight/2 {
				break // some were lost
			}
		}
	}
	all = t.await(sent)
	took := time.Since(start)
	if all < sent {
		took -= lost
	}
	return float64(all), took
}

// onIdle returns the median time in microseconds from publishing until all have it.
func onIdle(sys system, n, size, count int) float64 {
	t := newTally(n)
	publish, stop := sys.start(n, t.add)
	defer stop()
	data := make([]byte, size)
	var times []float64
	for i := range count {
		time.Sleep(5 * time.Millisecond)
		binary.BigEndian.PutUint64(data, uint64(i))
		start := time.Now()
		publish(slices.Clone(data))
		t.await(i + 1)
		times = append(times, float64(time.Since(start).Nanoseconds())/1000)
	}
	return median(times)
}
