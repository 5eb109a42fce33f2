package legacy

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
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

// Fillers are as long as they should be, though IDs of 0.5 are not equally long.
func TestPacer_FillersHaveTheirSize(t *testing.T) {
	for _, version := range []string{"0.5", "0.6", "0.7"} {
		v, err := wire.ParseVersion(version)
		if err != nil {
			t.Fatal(err)
		}
		p := NewPacer(v, wire.NodeID("127.0.0.1", 1, "mesh", "salt"))
		p.least = 4 + len(p.blank(frozen, 1, 0))
		lengths := map[int]bool{}
		for size := p.least; size < p.least+250; size++ {
			if got := 4 + len(p.fill(frozen, size)); got != size {
				t.Errorf("%s: %d bytes, not %d", version, got, size)
			}
		}
		for with := range 256 {
			lengths[len(p.blank(frozen, 1, byte(with)))] = true
		}
		if (len(lengths) > 1) != (version == "0.5") {
			t.Errorf("%s: %d lengths of an ID", version, len(lengths))
		}
	}
}

// Wherever a reader falls behind, it never ends its 1024 bytes behind the length of a frame.
func TestPacer_NoReadEndsBehindALengthPrefix(t *testing.T) {
	lost, waits, fillers := 0, 0, 0
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var p Pacer
		now := time.Unix(3600, 0)
		p.Restart()
		var frames, bare []int
		pauses := map[int]bool{}
		size := 150 + rng.IntN(200)
		for range 1500 {
			f := size
			if seed%2 == 0 {
				f = 100 + rng.IntN(1000)
			}
			bare = append(bare, f)
			if p.Crowded() {
				waits++
				pauses[len(frames)-1] = true
				p.Restart()
			}
			filler, ok := p.filler(now, f, 170)
			if !ok {
				t.Fatalf("seed %d: no filler helps", seed)
			}
			if filler > 0 {
				fillers++
				frames = append(frames, filler)
				p.Wrote(now, filler)
			}
			frames = append(frames, f)
			p.Wrote(now, f)
			if MustWait(f) {
				pauses[len(frames)-1] = true
				p.Restart()
			}
			now = now.Add(time.Duration(rng.IntN(100)) * time.Millisecond) // never long enough that all must have been read
		}
		for first := 0; first < len(frames); first += 1 + rng.IntN(20) { // it begins to read anywhere
			later := map[int]bool{}
			for i := range pauses {
				later[i-first] = true
			}
			if losesStream(frames[first:], later) {
				t.Fatalf("seed %d: a reader that begins with frame %d loses the stream", seed, first)
			}
		}
		if losesStream(bare, nil) {
			lost++
		}
	}
	if lost == 0 || fillers == 0 {
		t.Error("nothing was risky")
	}
	t.Logf("without it %d of 300 streams of 1500 frames are lost by a reader that falls behind; a frame costs %.3f fillers and %.5f waits",
		lost, float64(fillers)/450_000, float64(waits)/450_000)
	var p Pacer
	p.Restart()
	for i := range 10_000 {
		size := 8 * (10 + i%500)
		if f, ok := p.filler(time.Unix(3600, 0), size, 170); f != 0 || !ok || p.Crowded() {
			t.Fatal("a frame of a multiple of eight needs help")
		}
		p.Wrote(time.Unix(3600, 0), size)
	}
}
