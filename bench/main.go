// Command bench measures go2p beside other systems in the same run and prints
// medians and ratios. Figures of different runs, machines or loads do not compare;
// ratios of one run do.
//
//	cd bench && go run .            five runs of everything, some minutes
//	cd bench && go run . -smoke     one short run, to see that it works
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"runtime"
	"slices"
	"text/tabwriter"
	"time"
)

// A scale is how much is measured.
type scale struct {
	runs     int
	load     time.Duration // how long a run under load takes
	idle     int           // broadcasts on an idle network
	requests int           // whispers
	peers    []int
	puts     int // one after the other
	keys     int // of a dictionary written to
	late     int // of a dictionary joined
	equal    int // of two that are equal
	storing  int // peers of a table
	gets     int // and as many sets
}

func main() {
	smoke := flag.Bool("smoke", false, "one short run")
	runs := flag.Int("runs", 5, "how often everything is measured")
	part := flag.String("part", "", "mesh, sync, chord or bridge; all if it is not given")
	flag.Parse()
	s := scale{runs: *runs, load: 2 * time.Second, idle: 200, requests: 5000, peers: []int{3, 8, 20},
		puts: 200, keys: 10_000, late: 100_000, equal: 1_000_000,
		storing: 100, gets: 500}
	if *smoke {
		s = scale{runs: 1, load: 200 * time.Millisecond, idle: 5, requests: 50, peers: []int{3}, puts: 5, keys: 100, late: 1000, equal: 1000,
			storing: 8, gets: 20}
	}
	fmt.Printf("%s, %d cores, %s/%s, %d runs, medians; all peers in one process on loopback\n\n",
		runtime.Version(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, s.runs)
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	defer out.Flush()
	for _, p := range []struct {
		name    string
		measure func(*tabwriter.Writer, scale)
	}{{"mesh", measureMesh}, {"sync", measureSync}, {"chord", measureChord}, {"bridge", measureBridge}} {
		if *part == "" || *part == p.name {
			p.measure(out, s)
		}
	}
}

func measureMesh(out *tabwriter.Writer, s scale) {
	for _, size := range []int{100, 10 << 10} {
		for _, n := range s.peers {
			title := fmt.Sprintf("broadcast %d B under load, %d peers, messages/s to all", size, n)
			row(out, title, s.runs, systems, func(sys system) float64 { return underLoad(sys, n, size, s.load) })
			out.Flush()
		}
	}
	for _, n := range s.peers {
		title := fmt.Sprintf("bytes sent over bytes delivered, broadcast 10 KiB under load, %d peers", n)
		row(out, title, s.runs, systems[:3], func(sys system) float64 { return payloads(sys, n, 10<<10, s.load) })
		out.Flush()
	}
	for _, n := range s.peers {
		title := fmt.Sprintf("one broadcast of 100 B on an idle network, %d peers, p50 µs", n)
		row(out, title, s.runs, systems, func(sys system) float64 { return onIdle(sys, n, 100, s.idle) })
		out.Flush()
	}
	row(out, "100 B to one peer and its acknowledgement, p50 µs", s.runs, callers, func(c caller) float64 { return roundTrip(c, s.requests) })
	out.Flush()
}

func measureSync(out *tabwriter.Writer, s scale) {
	row(out, "one put seen by another peer, 3 replicas, p50 µs", s.runs, replicateds, func(r replicated) float64 { return onePut(r, s.puts) })
	out.Flush()
	title := fmt.Sprintf("%d keys written at one replica until 3 have them, ms", s.keys)
	row(out, title, s.runs, replicateds, func(r replicated) float64 { return manyPuts(r, s.keys) })
	out.Flush()
	title = fmt.Sprintf("late joiner with %d keys of 100 B, ms", s.late)
	row(out, title, s.runs, replicateds, func(r replicated) float64 { return lateJoiner(r, s.late) })
	out.Flush()
	ms, bytes := meet(s.equal)
	fmt.Fprintf(out, "two equal replicas of %d keys meet\n  go2p sync\t%.1f ms\t%.0f B of their protocol, both asking\n\n", s.equal, ms, bytes)
	out.Flush()
	title = fmt.Sprintf("memory a key of 100 B and replica, 2 replicas of %d keys, B", s.late)
	row(out, title, s.runs, replicateds, func(r replicated) float64 { return memory(r, s.late) })
	out.Flush()
}

// row measures one thing with all systems in turn, several times, and prints the
// medians and go2p's, which is the first, over each.
func row[S interface{ name() string }](out *tabwriter.Writer, title string, runs int, systems []S, measure func(S) float64) {
	figures := make([][]float64, len(systems))
	for range runs {
		for i, sys := range systems {
			figures[i] = append(figures[i], measure(sys))
		}
	}
	fmt.Fprintln(out, title)
	ours := median(figures[0])
	for i, sys := range systems {
		m := median(figures[i])
		digits := 0
		if m < 10 {
			digits = 2
		}
		fmt.Fprintf(out, "  %s\t%.*f\tgo2p × %.2f\n", sys.name(), digits, m, ours/m)
	}
	fmt.Fprintln(out)
}

func median(figures []float64) float64 {
	sorted := slices.Sorted(slices.Values(figures))
	return sorted[len(sorted)/2]
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
