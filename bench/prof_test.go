package main

import (
	"os"
	"runtime"
	"runtime/pprof"
	"testing"
)

func TestProfLate(t *testing.T) {
	f, _ := os.Create("/tmp/late.prof")
	for i := range 3 {
		if i == 1 {
			pprof.StartCPUProfile(f)
		}
		t.Log(lateJoiner(go2pSync{}, 100000))
	}
	pprof.StopCPUProfile()
}
func TestProfMany(t *testing.T) {
	f, _ := os.Create("/tmp/many.prof")
	for i := range 8 {
		if i == 2 {
			pprof.StartCPUProfile(f)
		}
		t.Log(manyPuts(go2pSync{}, 10000))
	}
	pprof.StopCPUProfile()
}
func TestProfMem(t *testing.T) {
	runtime.MemProfileRate = 512
	f, _ := os.Create("/tmp/mem.prof")
	memhook = func() { pprof.WriteHeapProfile(f) }
	t.Log(memory(go2pSync{}, 100000))
}

func TestProfNone(t *testing.T) {
	for range 4 {
		t.Log(lateJoiner(go2pSync{}, 1))
	}
}

func TestOneLate(t *testing.T) {
	runtime.SetCPUProfileRate(2000)
	f, _ := os.Create("/tmp/one.prof")
	prehook = func() { pprof.StartCPUProfile(f) }
	t.Log(lateJoiner(go2pSync{}, 100000))
	pprof.StopCPUProfile()
}
