package chord

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/chord/internal/ring"
	"github.com/p2p-today/go2p/chord/internal/wire"
)

// A fabric carries questions between tables in one process, in virtual time.
type simNetwork struct {
	t     *testing.T
	delay time.Duration

	mu     sync.Mutex
	rng    *rand.Rand
	tables map[peer.ID]*Table
	side   map[peer.ID]int
	liars  map[peer.ID]func(ring.Circle, *wire.Question, *wire.Reply) *wire.Reply
	asked  int
	by     map[peer.ID]int // those asked by each

	conduct map[[2]peer.ID]int // how often one has complained of another
}

// report parts two of which one has complained ten times, as a mesh does.
func (p simTransport) report(other peer.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conduct[[2]peer.ID{p.self, other}]++
}

// lie has a peer answer others with something else.
func (f *simNetwork) lie(p peer.ID, how func(ring.Circle, *wire.Question, *wire.Reply) *wire.Reply) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.liars[p] = how
}

// A port is where one table is plugged in.
type simTransport struct {
	*simNetwork
	self peer.ID
}

func newSimNetwork(t *testing.T, seed uint64) *simNetwork {
	return &simNetwork{
		t: t, by: map[peer.ID]int{}, delay: 10 * time.Millisecond, rng: rand.New(rand.NewPCG(seed, 8)),
		conduct: map[[2]peer.ID]int{}, tables: map[peer.ID]*Table{}, side: map[peer.ID]int{}, liars: map[peer.ID]func(ring.Circle, *wire.Question, *wire.Reply) *wire.Reply{},
	}
}

func (f *simNetwork) reachable(from, to peer.ID) *Table {
	f.mu.Lock()
	defer f.mu.Unlock()
	parted := f.conduct[[2]peer.ID{from, to}] >= 10 || f.conduct[[2]peer.ID{to, from}] >= 10
	if parted || f.tables[from] == nil || f.side[from] != f.side[to] {
		return nil
	}
	return f.tables[to]
}

func (f *simNetwork) rand(n int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.rng.IntN(n)
}

func (f *simNetwork) latency() {
	time.Sleep(f.delay/2 + f.delay*time.Duration(f.rand(100))/100)
}

func (p simTransport) ask(ctx context.Context, to peer.ID, q *wire.Question) (*wire.Reply, error) {
	_, q, err := wire.ScanQuestion(q.Append(nil, 1, time.Now()), time.Now())
	if err != nil {
		p.t.Errorf("question: %v", err)
	}
	p.latency()
	target := p.reachable(p.self, to)
	if target == nil {
		return nil, errors.New("nobody is there")
	}
	p.mu.Lock()
	p.asked++
	p.by[p.self]++
	p.mu.Unlock()
	a, wait, err := target.node.handle(p.self, q)
	if err != nil {
		return nil, err
	}
	if wait != nil {
		a = wait(ctx)
	}
	p.mu.Lock()
	lie := p.liars[to]
	p.mu.Unlock()
	if lie != nil {
		a = lie(target.node.k, q, a)
	}
	p.latency()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if p.reachable(to, p.self) == nil {
		return nil, errors.New("it is gone")
	}
	_, a, err = wire.ScanReply(a.Append(nil, 1, time.Now()), time.Now())
	if err != nil && lie == nil {
		p.t.Errorf("reply: %v", err)
	}
	return a, err
}

// add makes a table, which knows those that are there, or some of them.
func (f *simNetwork) add(name string, k int) *Table {
	self := peer.ID(name)
	t, err := newTable(self, nil, &Options{K: k})
	if err != nil {
		f.t.Fatal(err)
	}
	t.client.transport = simTransport{f, self}
	f.mu.Lock()
	f.tables[self] = t
	var others []peer.ID
	for id := range f.tables {
		if id != self {
			others = append(others, id)
		}
	}
	f.mu.Unlock()
	slices.Sort(others)
	t.life.Go(t.upkeep.run)
	f.t.Cleanup(func() { f.crash(t) })
	for range min(3, len(others)) {
		t.client.greet(others[f.rand(len(others))])
	}
	return t
}

// join has a table store.
func (f *simNetwork) join(t *Table) {
	f.t.Helper()
	var err error
	for range 100 {
		if err = t.joiner.claim(t.life.Context(), true); err == nil || errors.Is(err, ErrRingFull) {
			break
		}
		time.Sleep(claimPause)
	}
	if err != nil {
		f.t.Errorf("join: %v", err)
	}
}

// crash ends a table without a word.
func (f *simNetwork) crash(t *Table) {
	f.mu.Lock()
	delete(f.tables, t.node.id)
	f.mu.Unlock()
	t.Close()
}

// whole tells whether all tables that store are listed where they should be and lack
// nothing.
func (f *simNetwork) whole() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	var views []ring.View
	for _, t := range f.tables {
		t.node.mu.Lock()
		if t.node.ring.Stores() {
			views = append(views, t.node.ring.View(time.Now()))
		}
		settled := t.node.schedule.Settled()
		t.node.mu.Unlock()
		if !settled {
			return false
		}
	}
	slices.SortFunc(views, func(a, b ring.View) int { return int(a.Self.Slot) - int(b.Self.Slot) })
	n := len(views)
	for i, v := range views {
		for j := 1; j <= min(ring.Listed, n-1); j++ {
			succ, pred := views[(i+j)%n].Self, views[(i-j+n)%n].Self
			if len(v.Succs) < j || len(v.Preds) < j || v.Succs[j-1] != succ || v.Preds[j-1] != pred {
				return false
			}
		}
	}
	return true
}

// await waits until the ring is whole.
func (f *simNetwork) awaitWhole(limit time.Duration) {
	f.t.Helper()
	for end := time.Now().Add(limit); !f.whole(); time.Sleep(time.Second) {
		if time.Now().After(end) {
			for _, t := range f.tables {
				n := t.node
				f.t.Logf("%s at %v: %v %v, settled %v", n.id, n.ring.Self(), n.ring.Succs(), n.ring.Preds(), n.schedule.Settled())
			}
			f.t.Fatal("the ring is not whole")
		}
	}
}

// long is how much more is done by hand than in a usual run of the tests.
func long[T any](short, long T) T {
	if os.Getenv("GO2P_LONG") == "1" {
		return long
	}
	return short
}

func inSimulation(t *testing.T, f func(t *testing.T, seed uint64)) {
	t.Helper()
	for i := range long(1, 20) {
		seed := rand.Uint64()
		t.Run(fmt.Sprint("round", i), func(t *testing.T) {
			t.Logf("seed %d", seed)
			synctest.Test(t, func(t *testing.T) { f(t, seed) })
		})
	}
}

// P8: with 5 % of the peers coming, leaving and crashing each minute, two crashes at most
// between repairs, no key and no acknowledged write is lost.
func TestTable_ChurnLosesNoWrite(t *testing.T) {
	inSimulation(t, func(t *testing.T, seed uint64) {
		f := newSimNetwork(t, seed)
		peers := long(24, 64)
		var nodes []*Table
		born := 0
		arrive := func() {
			n := f.add(fmt.Sprintf("peer%d", born), 16)
			born++
			f.join(n)
			nodes = append(nodes, n)
		}
		for range peers {
			arrive()
		}
		f.awaitWhole(5 * time.Minute)
		reader := f.add("leech", 16)
		written := map[string]string{} // acknowledged
		pick := func() *Table {
			if f.rand(4) == 0 {
				return reader
			}
			return nodes[f.rand(len(nodes))]
		}
		ctx := context.Background()
		start := time.Now()
		length := time.Duration(long(6, 60)) * time.Minute
		events, crashes, failures := 0, 0, 0
		for time.Since(start) < length {
			if due := int(time.Since(start).Minutes() * float64(peers) / 20); events < due {
				events++
				n := f.rand(len(nodes))
				switch what := f.rand(3); {
				case what == 0 || len(nodes) < peers*3/4:
					arrive()
				case what == 1:
					left := nodes[n]
					nodes = slices.Delete(nodes, n, n+1)
					if err := left.Unjoin(ctx); err != nil {
						t.Errorf("unjoin: %v", err)
					}
					f.crash(left)
				default:
					f.awaitWhole(5 * time.Minute)
					for range 1 + f.rand(2) {
						n := f.rand(len(nodes))
						f.crash(nodes[n])
						nodes = slices.Delete(nodes, n, n+1)
						crashes++
					}
				}
			}
			key := fmt.Sprintf("key%d", f.rand(500))
			value := fmt.Sprintf("%s at %v", key, time.Since(start))
			if err := pick().Set(ctx, key, value); err == nil {
				written[key] = value
			} else {
				delete(written, key) // either may stand
				failures++
			}
			key = fmt.Sprintf("key%d", f.rand(500))
			if want, ok := written[key]; ok {
				if got, err := pick().Get(ctx, key); err != nil && !errors.Is(err, ErrNoMajority) || err == nil && got != want {
					t.Fatalf("after %v: %s is %v, %v; want %s", time.Since(start), key, got, err, want)
				}
			}
			time.Sleep(time.Duration(f.rand(200)) * time.Millisecond)
		}
		f.awaitWhole(5 * time.Minute)
		for key, want := range written {
			for _, n := range []*Table{reader, nodes[f.rand(len(nodes))]} {
				if got, err := n.Get(ctx, key); err != nil || got != want {
					t.Errorf("in the end %s is %v, %v; want %s", key, got, err, want)
				}
			}
		}
		t.Logf("%d keys, %d events, %d crashes, %d writes failed, %d questions", len(written), events, crashes, failures, f.questions(""))
	})
}

// Who leaves and has not heard of some that have come finds them.
func TestUnjoin_StaleCacheFindsReplicas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newSimNetwork(t, 7)
		var nodes []*Table
		for i := range 20 {
			nodes = append(nodes, f.add(fmt.Sprintf("peer%d", i), 16))
			f.join(nodes[i])
		}
		f.awaitWhole(5 * time.Minute)
		ctx := context.Background()
		for i := range 300 {
			if err := nodes[0].Set(ctx, fmt.Sprintf("key%d", i), i); err != nil {
				t.Fatal(err)
			}
		}
		for _, left := range nodes[:5] {
			left.node.mu.Lock()
			near := left.node.ring.Neighbours()
			for _, n := range nodes[5:] {
				if !slices.Contains(near, n.node.ring.Self()) && f.rand(2) == 0 {
					left.node.ring.Forget(string(n.node.id))
				}
			}
			left.node.mu.Unlock()
			within, cancel := context.WithTimeout(ctx, 10*time.Minute)
			if err := left.Unjoin(within); err != nil {
				t.Error(err)
			}
			cancel()
		}
		for i := range 300 {
			if v, err := nodes[19].Get(ctx, fmt.Sprintf("key%d", i)); err != nil || v != int64(i) {
				t.Errorf("key%d is %v, %v", i, v, err)
			}
		}
	})
}
