package main

import (
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/x/simlibp2p"
	"github.com/marcopolo/simnet"
)

const clients = 16 // peers that read and write

// figures are what was measured in several runs, by what it is and with which system.
type figures struct {
	titles []string
	of     map[string][][]float64 // by title, then system
}

func (f *figures) add(system, systems int, title string, v float64) {
	if f.of == nil {
		f.of = map[string][][]float64{}
	}
	if f.of[title] == nil {
		f.titles = append(f.titles, title)
		f.of[title] = make([][]float64, systems)
	}
	f.of[title][system] = append(f.of[title][system], v)
}

func measureChord(out *tabwriter.Writer, s scale) {
	var near, far figures
	for i, sys := range spreads {
		onLoopback(sys, s, func(title string, v float64) { near.add(i, len(spreads), title, v) })
	}
	near.print(out)
	for i, sys := range spreads {
		onLinks(sys, s, func(title string, v float64) { far.add(i, len(spreads), title, v) })
	}
	far.print(out)
}

// print prints the medians.
func (f *figures) print(out *tabwriter.Writer) {
	for _, title := range f.titles {
		i := -1
		row(out, title, 1, spreads, func(spread) float64 { i++; return median(f.of[title][i]) })
	}
	out.Flush()
}

// plain makes hosts that are not connected.
func plain(n int) []host.Host {
	var hs []host.Host
	for range n {
		hs = append(hs, hosts(1)...)
	}
	return hs
}

// onLoopback measures sets and gets, one after the other and of several peers at once, all
// runs with the same peers: it takes most of a minute until they are there.
func onLoopback(sys spread, s scale, add func(string, float64)) {
	hs := plain(s.storing)
	defer closeAll(hs)
	c := sys.open(hs)
	defer c.stop()
	title := func(what string) string { return fmt.Sprintf("%s, %d peers that store", what, s.storing) }
	value := make([]byte, 100)
	for i, k := range keys("warm", 4*s.storing) {
		c.set(i%min(clients, s.storing), k, value)
		c.get(i%min(clients, s.storing), k)
	}
	for run := range s.runs {
		onceOnLoopback(c, s, keys(fmt.Sprint("k", run), s.gets), func(what string, v float64) { add(title(what), v) })
	}
}

func onceOnLoopback(c cluster, s scale, list []string, add func(string, float64)) {
	value := make([]byte, 100)
	set := func(i int) { c.set(i%min(clients, s.storing), list[i], value) }
	get := func(int) { c.get(rand.IntN(min(clients, s.storing)), list[rand.IntN(len(list))]) }
	for _, op := range []struct {
		name string
		do   func(int)
	}{{"set", set}, {"get", get}} {
		asked, used := c.asked(), cpu()
		times := timed(len(list), op.do)
		add(op.name+" p50 µs", times[len(times)/2])
		add(op.name+" p99 µs", times[len(times)*99/100])
		add(op.name+", requests", float64(c.asked()-asked)/float64(len(list)))
		add(op.name+", CPU µs", float64((cpu()-used).Microseconds())/float64(len(list)))
	}
	start := time.Now()
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			for range len(list) / 5 {
				c.get(i%s.storing, list[rand.IntN(len(list))])
			}
		})
	}
	wg.Wait()
	add(fmt.Sprintf("gets/s of %d clients", clients), float64(clients*(len(list)/5))/time.Since(start).Seconds())
}

// timed returns in microseconds, sorted, how long each of n calls takes.
func timed(n int, f func(int)) []float64 {
	times := make([]float64, n)
	for i := range times {
		start := time.Now()
		f(i)
		times[i] = float64(time.Since(start).Nanoseconds()) / 1000
	}
	slices.Sort(times)
	return times
}

// cpu is the processor time of this process so far.
func cpu() time.Duration {
	var u syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

const oneWay = 25 * time.Millisecond

// onLinks measures gets between peers that are far from each other, all runs with the same
// peers: it takes minutes until they know each other.
func onLinks(sys spread, s scale, add func(string, float64)) {
	sim := &simnet.Simnet{LatencyFunc: func(*simnet.Packet) time.Duration { return oneWay }, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
	sim.Start()
	defer sim.Close()
	var hs []host.Host
	link := simnet.LinkSettings{BitsPerSecond: 100 * simlibp2p.OneMbps}
	for i := range s.storing {
		h, err := libp2p.New(
			libp2p.ListenAddrStrings(fmt.Sprintf("/ip4/%s/udp/8000/quic-v1", simnet.IntToPublicIPv4(i))),
			simlibp2p.QUICSimnet(sim, simnet.NodeBiDiLinkSettings{Downlink: link, Uplink: link}),
			libp2p.DisableIdentifyAddressDiscovery(), libp2p.ResourceManager(&network.NullResourceManager{}), libp2p.DisableMetrics(),
		)
		check(err)
		hs = append(hs, h)
	}
	defer closeAll(hs)
	c := sys.open(hs)
	defer c.stop()
	reader := func(i int) int { return i % min(4, s.storing) }
	title := fmt.Sprintf("over links of %v one way, %d peers that store", oneWay, s.storing)
	for run := range s.runs {
		list := keys(fmt.Sprint("k", run), max(10, s.gets/10))
		for range 2 { // so that those who ask have been connected
			for i, k := range list {
				c.set(reader(i), k, make([]byte, 100))
				c.get(reader(i), k)
			}
		}
		times := timed(len(list), func(i int) { c.get(reader(i+1), list[i]) })
		add("get p50 ms "+title, times[len(times)/2]/1000)
		add("get p99 ms "+title, times[len(times)*99/100]/1000)
	}
}
