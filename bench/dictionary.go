package main

import (
	"fmt"
	"os"
	"runtime"
	"time"
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
	if prehook != nil {
		prehook()
	}
	late := add()
	late.holds(n)
	return float64(time.Since(start).Microseconds()) / 1000
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
	total := heap() - before
	if memhook != nil {
		memhook()
	}
	return total / float64(2*n)
}

func heap() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

var memhook func()
var prehook func()
