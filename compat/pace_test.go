package compat

import (
	"math/rand/v2"
	"testing"
	"time"
)

// reader reads as py does, and tells whether it loses the stream: from where it has read
// all that there was, 1024 bytes at a time.
func losesStream(frames []int, pauses map[int]bool) bool {
	start := 0 // what is read by itself before
	for start < len(frames) {
		end := start // frames that are there when it reads on: up to a pause
		for end < len(frames) && (end == start || !pauses[end-1]) {
			end++
		}
		total, at := 0, 0
		for _, f := range frames[start:end] {
			total += f
		}
		for i, f := range frames[start:end] {
			at += f
			if i < end-start-1 && (at+4)%1024 == 0 && at+4 < total {
				return true
			}
		}
		start = end
	}
	return false
}

// Wherever a reader falls behind, it never ends its 1024 bytes behind the length of a frame.
func TestPace(t *testing.T) {
	lost, waits := 0, 0
	for seed := range uint64(500) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var p pace
		now := time.Unix(0, 0).Add(time.Hour)
		var frames []int
		pauses := map[int]bool{}
		size := 150 + rng.IntN(200)
		for i := range 400 {
			f := size
			if seed%2 == 0 {
				f = 100 + rng.IntN(1000)
			}
			frames = append(frames, f)
			if p.risky(now, f) {
				pauses[i] = true
				waits++
			}
		}
		for first := range frames { // it begins to read anywhere
			later := map[int]bool{}
			for i := range pauses {
				later[i-first] = true
			}
			if losesStream(frames[first:], later) {
				t.Fatalf("seed %d: a reader that begins with frame %d loses the stream", seed, first)
			}
			if first == 0 && losesStream(frames, nil) {
				lost++
			}
		}
	}
	if lost == 0 || waits == 0 {
		t.Error("nothing was risky")
	}
	t.Logf("without waiting %d of 500 streams are lost by a reader that falls behind; %.3f waits a frame", lost, float64(waits)/200_000)
	var p pace
	for i := range 10_000 {
		if p.risky(time.Unix(3600, 0), 8*(10+i%500)) {
			t.Fatal("a frame of a multiple of eight is risky")
		}
	}
}
