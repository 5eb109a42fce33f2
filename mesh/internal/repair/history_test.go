package repair

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A simNetwork has cores that send to each other in a simulation:
// gossip that loses, and links that do not.
type simNetwork struct {
	t       *rapid.T
	now     time.Time
	rng     *rand.Rand
	cores   []*History
	handled []map[string]int // how often each core handled a message
	lost    []map[string]bool
	fetched map[string]int // how often a large batch was sent to each core
	cut     func(i, j int) bool
}

func newSimNetwork(t *rapid.T, n int) *simNetwork {
	w := &simNetwork{t: t, now: at(0), fetched: map[string]int{}, rng: rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))}
	w.cut = func(i, j int) bool { return false }
	for i := range n {
		w.cores = append(w.cores, New(w.rng))
		w.handled = append(w.handled, map[string]int{})
		w.lost = append(w.lost, map[string]bool{})
		for j := range i {
			w.link(i, j)
		}
	}
	return w
}

func name(i int) string { return string(rune('a' + i)) }

func (w *simNetwork) link(i, j int) {
	w.cores[i].Join(w.now, name(j))
	w.cores[j].Join(w.now, name(i))
}

func (w *simNetwork) unlink(i, j int) {
	w.cores[i].Leave(name(j))
	w.cores[j].Leave(name(i))
}

func messageName(r Run, seq uint64) string { return fmt.Sprint(r.Author, r.Boot, "/", seq) }

// deliver hands a record to a core.
func (w *simNetwork) deliver(to int, rec Record, age time.Duration) {
	a := w.cores[to].Receive(w.now, rec, age)
	w.cores[to].Keep(w.now, a)
	w.lose(to, a.Lost)
	for _, i := range a.Fresh {
		w.handled[to][messageName(rec.Run, rec.First+uint64(i))]++
	}
}

// lose notes what a core reports as lost.
func (w *simNetwork) lose(at int, lost []Loss) {
	for _, l := range lost {
		for n := l.First; n <= l.Last; n++ {
			w.lost[at][messageName(l.Run, n)] = true
		}
	}
}

// take has a history take a batch.
func (h *History) take(now time.Time, rec Record) { h.Keep(now, h.Receive(now, rec, 0)) }

// broadcast sends a batch, which each other core gets unless it is lost, cut off or
// too large for gossip.
func (w *simNetwork) broadcast(author int, first uint64, count int, loss float64) {
	w.send(author, first, count, 100, loss)
}

func (w *simNetwork) send(author int, first uint64, count, size int, loss float64) {
	rec := Record{Run: Run{Author: name(author), Boot: 1}, First: first, Count: count, Data: make([]byte, size)}
	for i := range w.cores {
		if i == author || Gossiped(size) && !w.cut(author, i) && w.rng.Float64() >= loss {
			w.deliver(i, rec, 0)
		}
	}
}

// pass lets time pass, in steps in which everybody does what is due.
func (w *simNetwork) pass(d time.Duration) {
	const tick = 100 * time.Millisecond
	for end := w.now.Add(d); w.now.Before(end); w.now = w.now.Add(tick) {
		for i, c := range w.cores {
			out := c.Advance(w.now)
			w.lose(i, out.Lost)
			for _, tell := range out.Announce {
				if j := int(tell.To[0] - 'a'); !w.cut(i, j) {
					w.cores[j].Hear(w.now, name(i), tell.Haves)
				}
			}
			for _, f := range out.Fetch {
				j := int(f.To[0] - 'a')
				if w.cut(i, j) {
					continue
				}
				for _, rec := range w.cores[j].Serve(w.now, f) {
					if !Gossiped(len(rec.Data)) {
						w.fetched[fmt.Sprint(i, rec.Run, rec.First)]++
					}
					w.deliver(i, rec.Record, rec.Age)
				}
				c.Done(w.now, name(j), f.Run)
			}
		}
	}
}

// settled checks P3: each message was handled exactly once by every core, or never
// and is reported as lost there.
func (w *simNetwork) settled(messages []string, mayLose bool) {
	w.t.Helper()
	for i := range w.cores {
		for _, m := range messages {
			n, lost := w.handled[i][m], w.lost[i][m]
			if n > 1 || n == 0 && !lost || n == 1 && lost || lost && !mayLose {
				w.t.Fatalf("%s: %s was handled %d times, reported as lost: %v", name(i), m, n, lost)
			}
		}
	}
}

func TestHistory_RepairsLosses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newSimNetwork(t, rapid.IntRange(2, 6).Draw(t, "peers"))
		next := make([]uint64, len(w.cores))
		var messages []string
		for range rapid.IntRange(1, 60).Draw(t, "broadcasts") {
			a := rapid.IntRange(0, len(w.cores)-1).Draw(t, "author")
			count := rapid.IntRange(1, 3).Draw(t, "batch")
			w.broadcast(a, next[a]+1, count, 0.5)
			for range count {
				next[a]++
				messages = append(messages, messageName(Run{Author: name(a), Boot: 1}, next[a]))
			}
			w.pass(time.Duration(rapid.IntRange(0, 500).Draw(t, "pause")) * time.Millisecond)
		}
		w.pass(20 * time.Second)
		w.settled(messages, false)
	})
}

// Large batches are fetched, within a moment and once by each peer, also over several
// hops and with small ones among them.
func TestHistory_FetchesLargeBatchesOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newSimNetwork(t, 5)
		w.cut = func(i, j int) bool { return max(i, j)-min(i, j) > 1 } // a chain
		for i := range w.cores {
			for j := range i - 1 {
				w.unlink(i, j)
			}
		}
		var messages []string
		large := rapid.SliceOfN(rapid.Bool(), 1, 20).Draw(t, "large")
		for seq, isLarge := range large {
			size := 100
			if isLarge {
				size = gossipBytes + 1
			}
			w.send(0, uint64(seq)+1, 1, size, 0)
			messages = append(messages, messageName(Run{Author: name(0), Boot: 1}, uint64(seq)+1))
			w.pass(time.Duration(rapid.IntRange(0, 3).Draw(t, "pause")) * 100 * time.Millisecond)
			if isLarge && seq == 0 {
				w.pass(time.Second)
				w.settled(messages, false)
			}
		}
		w.pass(10 * time.Second)
		w.settled(messages, false)
		for batch, n := range w.fetched {
			if n != 1 {
				t.Fatalf("%s was carried %d times", batch, n)
			}
		}
	})
}

// A neighbour that is asked and sends anything but the answer is not waited for long.
func TestHistory_DoesNotWaitForATrickle(t *testing.T) {
	h := New(rand.New(rand.NewPCG(1, 2)))
	for _, id := range []string{"liar", "other"} {
		h.Join(at(0), id)
		h.Hear(at(0), id, []Have{{Run: Run{Author: "a", Boot: 1}, Low: 1, High: 1, Urgent: true}})
	}
	asked := map[string]int{}
	for ms := 0; ms <= 100_000 && len(asked) < 2; ms += 500 {
		h.Progress(at(ms), "liar")
		h.Progress(at(ms), "other")
		for _, f := range h.Advance(at(ms)).Fetch {
			asked[f.To] = ms
		}
	}
	if len(asked) != 2 || max(asked["liar"], asked["other"]) > int(maxFetch.Milliseconds()) {
		t.Errorf("asked at %v", asked)
	}
}

// A partition that heals inside of the window loses nothing; a longer one loses what
// is older, and says so.
func TestHistory_PartitionsAreRepairedOrReported(t *testing.T) {
	for _, c := range []struct {
		cut     time.Duration
		mayLose bool
	}{{40 * time.Second, false}, {3 * time.Minute, true}} {
		rapid.Check(t, func(t *rapid.T) {
			w := newSimNetwork(t, 4)
			var messages []string
			seq := uint64(0)
			send := func() {
				seq++
				for a := range w.cores {
					w.broadcast(a, seq, 1, 0)
					messages = append(messages, messageName(Run{Author: name(a), Boot: 1}, seq))
				}
			}
			send()
			w.pass(2 * time.Second)
			side := rapid.IntRange(1, 3).Draw(t, "side")
			w.cut = func(i, j int) bool { return (i < side) != (j < side) }
			for i := range side {
				for j := side; j < 4; j++ {
					w.unlink(i, j)
				}
			}
			for end := w.now.Add(c.cut); w.now.Before(end); {
				send()
				w.pass(5 * time.Second)
			}
			w.cut = func(int, int) bool { return false }
			for i := range side {
				for j := side; j < 4; j++ {
					w.link(i, j)
				}
			}
			send()
			w.pass(2 * time.Minute)
			w.settled(messages, c.mayLose)
		})
	}
}

// What a late joiner is told of may be gone when it asks; it gets all the rest, from
// however many, also of an author that is gone.
func TestHistory_NeighboursServeAnAuthorThatIsGone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newSimNetwork(t, 4)
		joins := func(i int) {
			for j := range w.cores {
				if j != i {
					w.link(i, j)
				}
			}
		}
		const sent = 600 // over 30 s
		for i := range w.cores {
			w.unlink(3, i)
		}
		w.cut = func(i, j int) bool { return i == 3 || j == 3 }
		for seq := range uint64(sent) {
			w.broadcast(0, seq+1, 1, 0.3)
			w.now = w.now.Add(50 * time.Millisecond)
		}
		w.pass(10 * time.Second)
		for i := 1; i < 4; i++ {
			w.unlink(0, i)
		}
		w.cut = func(i, j int) bool { return i == 0 || j == 0 }
		w.pass(time.Duration(rapid.IntRange(0, 25_000).Draw(t, "later")) * time.Millisecond)
		joins(3)
		old := w.now.Add(-window).Sub(at(0))
		w.pass(5 * time.Second)
		for seq := range uint64(sent) {
			at := time.Duration(seq) * 50 * time.Millisecond
			if m := messageName(Run{Author: name(0), Boot: 1}, seq+1); at > old+time.Second && w.handled[3][m] != 1 {
				t.Fatalf("%s, sent %v before the end of the window, was handled %d times", m, at-old, w.handled[3][m])
			}
		}
	})
}

// Who comes late gets what the others still have, and no report of what was before.
func TestHistory_LateJoinerGetsTheLastMinute(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newSimNetwork(t, 3)
		w.cut = func(i, j int) bool { return i == 2 || j == 2 }
		w.unlink(2, 0)
		w.unlink(2, 1)
		for seq := range uint64(30) {
			w.broadcast(0, seq+1, 1, 0)
			w.pass(4 * time.Second)
		}
		w.cut = func(int, int) bool { return false }
		w.link(2, 0)
		w.link(2, 1)
		if rapid.Bool().Draw(t, "a message first") {
			w.broadcast(0, 31, 1, 0)
		}
		w.pass(3 * time.Minute)
		if n := len(w.handled[2]); n < 14 || n > 16 {
			t.Fatalf("it got %d messages of a window that has 15", n)
		}
		if len(w.lost[2]) != 0 {
			t.Fatalf("reported as lost: %v", w.lost[2])
		}
	})
}

// Heads of things that do not exist cost one question each and are not reported.
func TestHistory_FalseClaimsCostLittle(t *testing.T) {
	h := New(rand.New(rand.NewPCG(1, 2)))
	h.Join(at(0), "liar")
	h.take(at(0), Record{Run: Run{Author: "a", Boot: 1}, First: 400, Count: 1})
	haves := []Have{
		{Run: Run{Author: "a", Boot: 1}, Low: 1, High: 1 << 60},
		{Run: Run{Author: "a", Boot: 1}, Low: 5, High: 4},
		{Run: Run{Author: "b", Boot: 1}, Low: 1, High: 1<<64 - 1},
	}
	for i := range 3 * maxClaimed {
		haves = append(haves, Have{Run: Run{Author: fmt.Sprint("ghost", i), Boot: 1}, Low: 1, High: 10})
	}
	asked := map[Run]int{}
	for ms := 0; ms < 300_000; ms += 500 {
		if ms%30_000 == 0 && ms < 120_000 {
			h.Hear(at(ms), "liar", haves)
		}
		out := h.Advance(at(ms))
		if len(out.Lost) != 0 {
			t.Fatalf("reported: %v", out.Lost)
		}
		for _, f := range out.Fetch {
			asked[f.Run]++
			h.Done(at(ms), "liar", f.Run)
		}
	}
	if len(asked) > maxClaimed+1 {
		t.Errorf("%d runs were asked for", len(asked))
	}
	for r, n := range asked {
		if n > 8 {
			t.Errorf("asked %d times for %v", n, r)
		}
	}
	if len(h.runs) != 0 || h.claimed != 0 {
		t.Errorf("%d runs are left, %d claimed", len(h.runs), h.claimed)
	}
}

// Fetches that are never answered do not count against a neighbour for ever, whether
// what was asked for has come from elsewhere or not.
func TestHistory_ForgetsUnansweredFetches(t *testing.T) {
	h := New(rand.New(rand.NewPCG(1, 2)))
	h.Join(at(0), "mute")
	for i := range 3 * maxFetches {
		r := Run{Author: fmt.Sprint("author", i), Boot: 1}
		h.Hear(at(0), "mute", []Have{{Run: r, Low: 1, High: 1, Urgent: true}})
	}
	if n := len(h.Advance(at(0)).Fetch); n != maxFetches {
		t.Fatalf("%d fetches at a time", n)
	}
	for i := range 3 * maxFetches {
		if i%2 == 0 {
			h.take(at(100), Record{Run: Run{Author: fmt.Sprint("author", i), Boot: 1}, First: 1, Count: 1})
		}
	}
	for ms := 500; ms <= 300_000; ms += 500 {
		h.Advance(at(ms))
	}
	if n := h.neighbours["mute"].asked; n != 0 || len(h.runs) != 0 {
		t.Errorf("%d fetches are still counted, %d runs are left", n, len(h.runs))
	}
}

func TestHistory_StaysBounded(t *testing.T) {
	h := New(rand.New(rand.NewPCG(1, 2)))
	batch := make([]byte, 1<<20)
	for i := range uint64(50) {
		h.take(at(int(i)), Record{Run: Run{Author: "quiet", Boot: 1}, First: i + 1, Count: 1, Data: batch[:1000]})
	}
	for i := range uint64(200) {
		h.take(at(100+int(i)), Record{Run: Run{Author: "loud", Boot: i % 3}, First: i + 1, Count: 1, Data: batch})
	}
	if h.bytes > maxHistory {
		t.Errorf("%d bytes", h.bytes)
	}
	if n := len(h.runs[Run{Author: "quiet", Boot: 1}].records); n != 50 {
		t.Errorf("%d of the quiet author's 50 batches are left", n)
	}
	if n := len(h.runs[Run{Author: "loud", Boot: 0}].records); n == 0 {
		t.Error("nothing is left of the loud author")
	}
	list := h.Serve(at(1000), Fetch{Run: Run{Author: "quiet", Boot: 1}, Intervals: []Interval{{First: 10, Last: 10}, {First: 12, Last: 12}, {First: 60, Last: 70}}})
	if len(list) != 2 || list[0].First != 10 || list[1].First != 12 || list[0].Age != 991*time.Millisecond {
		t.Errorf("served %v", list)
	}
	if list := h.Serve(at(1000), Fetch{Run: Run{Author: "loud", Boot: 0}, Intervals: []Interval{{First: 1, Last: 1000}}}); len(list) != 1 {
		t.Errorf("%d batches of a megabyte in one answer", len(list))
	}
	h.Advance(at(300_000))
	if h.bytes != 0 || len(h.authors) != 0 {
		t.Errorf("after the window: %d bytes of %d authors", h.bytes, len(h.authors))
	}
}

// A question is answered once, when all that it is about is there.
func TestAckQueries_AreAnsweredOnce(t *testing.T) {
	h := New(rand.New(rand.NewPCG(1, 2)))
	h.Join(at(0), "x")
	r := Run{Author: "a", Boot: 1}
	take := func(first, count int) { h.take(at(0), Record{Run: r, First: uint64(first), Count: count}) }
	answers := func() (nonces []uint64) {
		for _, q := range h.Advance(at(0)).Ack {
			nonces = append(nonces, q.Nonce)
		}
		return nonces
	}
	take(1, 2)
	h.Ask(AckQuery{From: "x", Nonce: 7, Run: r, Interval: Interval{First: 1, Last: 4}})
	h.Ask(AckQuery{From: "x", Nonce: 8, Run: r, Interval: Interval{First: 2, Last: 2}})
	h.Ask(AckQuery{From: "x", Nonce: 9, Run: r, Interval: Interval{First: 3, Last: 2}})
	h.Ask(AckQuery{From: "stranger", Nonce: 10, Run: r, Interval: Interval{First: 1, Last: 1}})
	if got := answers(); !slices.Equal(got, []uint64{8}) {
		t.Errorf("answered %v", got)
	}
	take(4, 1)
	if got := answers(); got != nil {
		t.Errorf("answered %v with a hole in it", got)
	}
	take(3, 1)
	if got := answers(); !slices.Equal(got, []uint64{7}) {
		t.Errorf("answered %v", got)
	}
	if got := answers(); got != nil {
		t.Errorf("answered %v twice", got)
	}
	for i := range uint64(10 * maxAckQueries) {
		h.Ask(AckQuery{From: "x", Nonce: i, Run: r, Interval: Interval{First: 100, Last: 100}})
	}
	take(100, 1)
	if got := answers(); len(got) != maxAckQueries {
		t.Errorf("%d questions were kept", len(got))
	}
}

// What changed is told once to each neighbour, at most once a second.
func TestAnnouncements_AreMadeOnce(t *testing.T) {
	h := New(rand.New(rand.NewPCG(1, 2)))
	h.Join(at(0), "x")
	h.Join(at(0), "y")
	r := Run{Author: "a", Boot: 1}
	h.take(at(0), Record{Run: r, First: 1, Count: 1})
	told := func(ms int) (names []string) {
		for _, t := range h.Advance(at(ms)).Announce {
			names = append(names, t.To)
		}
		return names
	}
	if got := told(199); got != nil {
		t.Errorf("told %v at once", got)
	}
	if got := told(200); !slices.Equal(got, []string{"x", "y"}) {
		t.Errorf("told %v", got)
	}
	h.take(at(300), Record{Run: r, First: 2, Count: 1})
	h.Leave("y")
	h.Join(at(600), "y")
	if got := told(600); !slices.Equal(got, []string{"y"}) {
		t.Errorf("told %v; x was told less than a second ago", got)
	}
	if got := told(1200); !slices.Equal(got, []string{"x"}) {
		t.Errorf("told %v", got)
	}
	if got := told(5000); got != nil {
		t.Errorf("told %v twice", got)
	}
}
