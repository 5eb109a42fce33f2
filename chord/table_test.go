package chord

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/internal/meshtest"
	"github.com/p2p-today/go2p/internal/testnet"
	"github.com/p2p-today/go2p/mesh"

	"github.com/p2p-today/go2p/chord/internal/home"
	"github.com/p2p-today/go2p/chord/internal/ring"
	"github.com/p2p-today/go2p/chord/internal/wire"
)

// A lab is a simulated network with a table on each host.
type lab struct {
	*meshtest.Lab
	t      *testing.T
	tables []*Table
	events [][]Event
}

func newLab(t *testing.T, seed uint64, n int) *lab {
	t.Helper()
	return &lab{
		Lab: meshtest.New(t, seed, n), t: t,
		tables: make([]*Table, n), events: make([][]Event, n),
	}
}

// open starts the mesh and the table of host i.
func (l *lab) open(i int, opts *Options) *Table {
	l.t.Helper()
	m := l.Join(i, "lab", nil)
	t, err := Open(l.t.Context(), m, opts)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { t.Close() })
	l.tables[i] = t
	meshtest.Collect(&l.events[i], t.Events(context.Background()))
	return t
}

// openAll opens all, connects each to the next, and has all store.
func (l *lab) openAll(opts *Options) {
	l.t.Helper()
	for i := range l.Hosts {
		l.open(i, opts)
		if i > 0 {
			l.Connect(i, i-1)
		}
		l.joinRing(i)
	}
	l.settle()
}

func (l *lab) joinRing(i int) {
	l.t.Helper()
	if err := l.tables[i].Join(l.Ctx()); err != nil {
		l.t.Fatalf("%d: %v", i, err)
	}
}

// settle waits until nobody lacks anything.
func (l *lab) settle() {
	l.t.Helper()
	f := simNetwork{tables: map[peer.ID]*Table{}}
	for _, t := range l.tables {
		if t != nil && !t.life.Sealed() {
			f.tables[t.node.id] = t
		}
	}
	for end := time.Now().Add(2 * time.Minute); !f.whole(); time.Sleep(time.Second) {
		if time.Now().After(end) {
			l.t.Fatal("the ring is not whole")
		}
	}
}

func (l *lab) set(i int, key string, v any) {
	l.t.Helper()
	if err := l.tables[i].Set(l.Ctx(), key, v); err != nil {
		l.t.Fatal(err)
	}
}

// has checks the value of a key at some hosts.
func (l *lab) has(key string, want any, at ...int) {
	l.t.Helper()
	for _, i := range at {
		if got, err := l.tables[i].Get(l.Ctx(), key); err != nil || !reflect.DeepEqual(got, want) {
			l.t.Errorf("%q at %d is %v, %v; want %v", key, i, got, err, want)
		}
	}
}

func (l *lab) lacks(key string, at ...int) {
	l.t.Helper()
	for _, i := range at {
		if got, err := l.tables[i].Get(l.Ctx(), key); !errors.Is(err, ErrNotFound) {
			l.t.Errorf("%q at %d is %v, %v; it should not be there", key, i, got, err)
		}
	}
}

// kill ends a host without a word.
func (l *lab) kill(i int) {
	l.Kill(i)
	l.tables[i].Close()
}

// happened tells whether an event of a kind was told at a host.
func (l *lab) happened(i int, kind EventKind) (found []Event) {
	synctest.Wait()
	for _, ev := range l.events[i] {
		if ev.Kind == kind {
			found = append(found, ev)
		}
	}
	return found
}

// All there is to do with a table, on whole hosts: six store, of which each is connected
// to a neighbour or two at first, and one more reads and writes only.
func TestTable_OperationsOnWholeHosts(t *testing.T) {
	testnet.Run(t, func(t *testing.T, seed uint64) {
		l := newLab(t, seed, 7)
		for i := range 6 {
			l.open(i, &Options{K: 6})
			if i > 0 {
				l.Connect(i, i-1)
			}
			l.joinRing(i)
		}
		leech := l.open(6, &Options{K: 6})
		l.Connect(6, 2)
		l.settle()

		l.set(0, "color", "blue")
		l.has("color", "blue", 0, 1, 2, 3, 4, 5, 6)
		l.set(6, "color", []any{int64(1), nil, true, []byte{0xff}})
		l.has("color", []any{int64(1), nil, true, []byte{0xff}}, 0, 3, 6)
		l.lacks("nothing", 0, 6)
		if err := leech.Delete(l.Ctx(), "color"); err != nil {
			t.Error(err)
		}
		l.lacks("color", 0, 5, 6)
		if err := leech.Delete(l.Ctx(), "color"); !errors.Is(err, ErrNotFound) {
			t.Errorf("deleted twice: %v", err)
		}
		if _, err := leech.Pop(l.Ctx(), "color"); !errors.Is(err, ErrNotFound) {
			t.Errorf("popped nothing: %v", err)
		}
		l.set(1, "color", "red")
		l.has("color", "red", 2, 6)
		if v, err := l.tables[3].Pop(l.Ctx(), "color"); v != "red" || err != nil {
			t.Errorf("popped %v, %v", v, err)
		}

		want := map[string]any{}
		for i := range 300 {
			want[fmt.Sprintf("key/%03d", i)] = int64(i)
		}
		if err := l.tables[4].Update(l.Ctx(), want); err != nil {
			t.Fatal(err)
		}
		for _, i := range []int{0, 6} {
			if got, err := l.tables[i].Copy(l.Ctx()); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%d keys at %d, %v; want %d", len(got), i, err, len(want))
			}
		}
		keys := map[string]int{}
		for key, err := range leech.Keys(l.Ctx()) {
			if err != nil {
				t.Error(err)
			}
			keys[key]++
		}
		values, some := 0, 0
		for _, err := range leech.Values(l.Ctx()) {
			if err != nil {
				t.Error(err)
			}
			values++
		}
		for it, err := range leech.Items(l.Ctx(), "key/01") {
			if err != nil || !strings.HasPrefix(it.Key, "key/01") || it.Value != want[it.Key] || it.Writer != l.Meshes[4].ID().String() {
				t.Errorf("%+v, %v", it, err)
			}
			some++
		}
		all, early := leech.All(l.Ctx())
		for key, v := range all {
			if v != want[key] {
				t.Errorf("%s is %v, want %v", key, v, want[key])
			}
		}
		if early() != nil {
			t.Error(early())
		}
		if len(keys) != 300 || values != 300 || some != 10 {
			t.Errorf("%d keys, %d values, %d with the prefix", len(keys), values, some)
		}

		if err := l.tables[0].ApplyDelta(l.Ctx(), "conf", map[string]any{"a": 1}); err != nil {
			t.Error(err)
		}
		if err := leech.ApplyDelta(l.Ctx(), "conf", map[string]any{"b": "two"}); err != nil {
			t.Error(err)
		}
		l.has("conf", map[string]any{"a": int64(1), "b": "two"}, 0, 6)
		if err := leech.ApplyDelta(l.Ctx(), "key/001", map[string]any{"b": 2}); !errors.Is(err, ErrNoMap) {
			t.Errorf("delta of a number: %v", err)
		}
		var typeError *TypeError
		if err := leech.Set(l.Ctx(), "x", make(chan int)); !errors.As(err, &typeError) {
			t.Errorf("a channel was set: %v", err)
		}
		if err := leech.Set(l.Ctx(), strings.Repeat("k", home.MaxKey+1), 1); !errors.Is(err, ErrTooLarge) {
			t.Errorf("a long key was set: %v", err)
		}
		if err := leech.Set(l.Ctx(), "x", strings.Repeat("v", home.MaxValue+1)); !errors.Is(err, ErrTooLarge) {
			t.Errorf("a large value was set: %v", err)
		}
		large := strings.Repeat("v", home.MaxValue-10)
		l.set(6, "large", large)
		l.has("large", large, 6, 3)

		popped := map[string]bool{}
		for range 5 {
			key, _, err := leech.PopItem(l.Ctx())
			if err != nil || popped[key] {
				t.Errorf("popped %q, %v", key, err)
			}
			popped[key] = true
		}
		ring, err := leech.Ring(l.Ctx())
		if err != nil || len(ring.Nodes) != 6 {
			t.Fatalf("ring: %+v, %v", ring, err)
		}
		sum := 0.0
		for i, n := range ring.Nodes {
			sum += n.Share
			if n.Keys == 0 || n.Self || i > 0 && n.Slot <= ring.Nodes[i-1].Slot {
				t.Errorf("%+v", n)
			}
		}
		if sum < 0.999 || sum > 1.001 {
			t.Errorf("the shares are %v together", sum)
		}
	})
}

// With five that store, or six, two die at once: every key is still readable at every
// survivor, and has as many homes as before, or as there are peers, within a minute.
func TestTable_TwoCrashesKeepKeys(t *testing.T) {
	testnet.Run(t, func(t *testing.T, seed uint64) {
		l := newLab(t, seed, 8)
		l.openAll(nil)
		want := map[string]any{}
		for i := range 200 {
			want[fmt.Sprint("key", i)] = fmt.Sprint(i)
		}
		if err := l.tables[0].Update(l.Ctx(), want); err != nil {
			t.Fatal(err)
		}
		l.kill(1)
		l.kill(5)
		check := func(at ...int) {
			t.Helper()
			for _, i := range at {
				for key, v := range want {
					l.has(key, v, i)
				}
			}
		}
		check(0, 2, 3, 4, 6, 7)
		time.Sleep(time.Minute)
		synctest.Wait()
		count := map[string]int{}
		for i, table := range l.tables {
			if i != 1 && i != 5 {
				for _, key := range table.node.allKeys() {
					count[key]++
				}
			}
		}
		for key := range want {
			if count[key] < ring.Copies {
				t.Errorf("%s has %d homes after a minute", key, count[key])
			}
		}
		if err := l.tables[2].Unjoin(l.Ctx()); err != nil {
			t.Errorf("unjoin: %v", err)
		}
		if n := l.tables[2].Status().Keys; n > 0 {
			t.Errorf("%d keys are left", n)
		}
		if len(l.happened(2, EventLeft)) != 1 || len(l.happened(2, EventProgress)) == 0 {
			t.Errorf("events: %+v", l.events[2])
		}
		check(2, 7)
		l.kill(3)
		l.kill(4)
		check(0, 2, 6, 7)
		l.joinRing(2)
		l.settle()
		if l.tables[2].Status().Keys != len(want) { // of four
			t.Errorf("it has %d keys of %d", l.tables[2].Status().Keys, len(want))
		}
		check(0, 2, 6, 7)
	})
}

// One that stores is a table, two are, and who stores for nobody is told that there is
// none.
func TestTable_OneOrTwoPeersAreEnough(t *testing.T) {
	testnet.Run(t, func(t *testing.T, seed uint64) {
		l := newLab(t, seed, 3)
		leech := l.open(2, nil)
		if _, err := leech.Get(l.Ctx(), "x"); !errors.Is(err, ErrNoPeers) {
			t.Errorf("nobody is there: %v", err)
		}
		if err := leech.AwaitPeers(l.Ctx()); !errors.Is(err, mesh.ErrAlone) {
			t.Errorf("awaits peers: %v", err)
		}
		l.open(0, nil)
		l.joinRing(0)
		l.set(0, "x", "one")
		l.has("x", "one", 0)
		if err := l.tables[0].Unjoin(l.Ctx()); !errors.Is(err, ErrNoPeers) {
			t.Errorf("the only one left: %v", err)
		}
		l.Connect(2, 0)
		if err := leech.AwaitPeers(l.Ctx()); err != nil {
			t.Errorf("awaits peers: %v", err)
		}
		l.has("x", "one", 2)
		l.open(1, nil)
		l.Connect(1, 2)
		l.joinRing(1)
		l.settle()
		l.has("x", "one", 0, 1, 2)
		l.set(1, "x", "two")
		l.kill(0)
		time.Sleep(30 * time.Second)
		l.has("x", "two", 1, 2)
		l.tables[1].Close()
		ctx, cancel := context.WithTimeout(l.Ctx(), 2*time.Second)
		defer cancel()
		if _, err := leech.Get(ctx, "x"); !errors.Is(err, ErrNoMajority) && !errors.Is(err, ErrNoPeers) {
			t.Errorf("nobody is there any more: %v", err)
		}
		l.tables[2].Close()
		if _, err := leech.Get(l.Ctx(), "x"); !errors.Is(err, ErrClosed) {
			t.Errorf("closed: %v", err)
		}
	})
}

// At k=2 four can store. The fifth is told, and reads and writes all the same.
func TestJoin_FullRingIsTold(t *testing.T) {
	testnet.Run(t, func(t *testing.T, seed uint64) {
		l := newLab(t, seed, 5)
		for i := range 5 {
			l.open(i, &Options{K: 2})
			if i > 0 {
				l.Connect(i, 0)
			}
			if i < 4 {
				l.joinRing(i)
			}
		}
		l.settle()
		if err := l.tables[4].Join(l.Ctx()); !errors.Is(err, ErrRingFull) {
			t.Errorf("a fifth: %v", err)
		}
		l.set(4, "x", "y")
		l.has("x", "y", 0, 1, 2, 3, 4)
		if err := l.tables[1].Unjoin(l.Ctx()); err != nil {
			t.Error(err)
		}
		l.joinRing(4)
		l.settle()
		l.has("x", "y", 0, 1, 2, 3, 4)
	})
}

// Two with different k have nothing to do with each other, and both are told.
func TestOpen_OtherKIsRefused(t *testing.T) {
	testnet.Run(t, func(t *testing.T, seed uint64) {
		l := newLab(t, seed, 2)
		l.open(0, &Options{K: 6})
		l.open(1, &Options{K: 7})
		l.Connect(0, 1)
		time.Sleep(time.Second)
		for i, want := range [][2]int{{6, 7}, {7, 6}} {
			var refused *RefusedError
			_, err := l.tables[i].Get(l.Ctx(), "x")
			if !errors.As(err, &refused) || refused.Mine != want[0] || refused.Theirs != want[1] || refused.Peer != l.Meshes[1-i].ID().String() {
				t.Errorf("%d: %v", i, err)
			}
			if err := l.tables[i].Join(l.Ctx()); !errors.Is(err, ErrRefused) {
				t.Errorf("%d joined: %v", i, err)
			}
			if events := l.happened(i, EventRefused); len(events) != 1 {
				t.Errorf("%d was told %+v", i, events)
			}
		}
		if _, err := Open(l.Ctx(), l.Meshes[0], &Options{K: MaxK + 1}); err == nil {
			t.Error("k beyond its limit")
		}
		_, err := l.tables[1].client.transport.ask(l.Ctx(), l.Meshes[0].ID(), &wire.Question{Kind: wire.AskFind})
		if !errors.Is(err, ErrRefused) { // the table that is open still answers
			t.Errorf("after a table that did not open: %v", err)
		}
	})
}

// Two rings that did not know of each other become one when one meets one, and the higher
// version stays.
func TestTable_MergedRingsKeepHigherVersion(t *testing.T) {
	testnet.Run(t, func(t *testing.T, seed uint64) {
		l := newLab(t, seed, 12)
		for i := range 12 {
			l.open(i, nil)
			if i%6 > 0 {
				l.Connect(i, i-1)
			}
			l.joinRing(i)
		}
		time.Sleep(30 * time.Second)
		l.set(0, "left", "l")
		l.set(6, "right", "r")
		l.set(0, "both", "first")
		l.set(6, "both", "lower")
		l.set(0, "both", "higher")
		l.Connect(3, 9)
		l.settle()
		time.Sleep(time.Minute)
		for i := range 12 {
			l.has("left", "l", i)
			l.has("right", "r", i)
			l.has("both", "higher", i)
		}
		if ring, err := l.tables[0].Ring(l.Ctx()); err != nil || len(ring.Nodes) != 12 {
			t.Errorf("%d nodes, %v", len(ring.Nodes), err)
		}
	})
}

// Of concurrent writers one stands, everywhere; deltas are all there; and what is popped,
// is popped once.
func TestTable_ConcurrentWritersAgree(t *testing.T) {
	inSimulation(t, func(t *testing.T, seed uint64) {
		f := newSimNetwork(t, seed)
		var nodes []*Table
		for i := range 9 {
			nodes = append(nodes, f.add(fmt.Sprint("peer", i), 8))
			f.join(nodes[i])
		}
		f.awaitWhole(time.Minute)
		ctx := context.Background()
		var wg sync.WaitGroup
		for i, n := range nodes {
			wg.Go(func() {
				for range 20 {
					if err := n.Set(ctx, "one", int64(i)); err != nil {
						t.Error(err)
					}
				}
			})
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
				defer cancel()
				for j := range 5 {
					if err := n.ApplyDelta(ctx, "all", map[string]any{fmt.Sprint(i, "/", j): true}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		var last any
		for _, n := range nodes {
			v, err := n.Get(ctx, "one")
			if err != nil || last != nil && v != last {
				t.Errorf("%v, %v; another has %v", v, err, last)
			}
			last = v
			if all, err := n.Get(ctx, "all"); err != nil || len(all.(map[string]any)) != 45 {
				t.Errorf("%v, %v", all, err)
			}
		}
		var mu sync.Mutex
		popped := 0
		for range 20 {
			if err := nodes[0].Set(ctx, "prize", "gold"); err != nil {
				t.Fatal(err)
			}
			for _, n := range nodes {
				wg.Go(func() {
					ctx, cancel := context.WithTimeout(ctx, time.Minute)
					defer cancel()
					v, err := n.Pop(ctx, "prize")
					mu.Lock()
					defer mu.Unlock()
					if err == nil && v == "gold" {
						popped++
					} else if !errors.Is(err, ErrNotFound) {
						t.Errorf("popped %v, %v", v, err)
					}
				})
			}
			wg.Wait()
		}
		if popped != 20 {
			t.Errorf("popped %d times, not 20", popped)
		}
	})
}

// Who watches hears of each write once.
func TestWatch_TellsEachWriteOnce(t *testing.T) {
	inSimulation(t, func(t *testing.T, seed uint64) {
		f := newSimNetwork(t, seed)
		var nodes []*Table
		for i := range 7 {
			nodes = append(nodes, f.add(fmt.Sprint("peer", i), 8))
			f.join(nodes[i])
		}
		f.awaitWhole(time.Minute)
		leech := f.add("leech", 8)
		ctx, cancel := context.WithCancel(context.Background())
		var got []string
		done := make(chan error)
		go func() {
			for c, err := range leech.Watch(ctx, "a/") {
				if err != nil {
					done <- err
					return
				}
				got = append(got, fmt.Sprint(c.Kind, " ", c.Key, " ", c.Value))
			}
		}()
		time.Sleep(10 * time.Second)
		for i, n := range nodes {
			for _, key := range []string{"a/x", "b/x"} {
				if err := n.Set(ctx, key, i); err != nil {
					t.Error(err)
				}
			}
			time.Sleep(time.Second)
		}
		if err := nodes[3].Delete(ctx, "a/x"); err != nil {
			t.Error(err)
		}
		late := f.add("late", 8)
		f.join(late)
		time.Sleep(time.Minute)
		if err := nodes[3].Set(ctx, "a/y", "z"); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		want := []string{"add a/x 0", "add a/x 1", "add a/x 2", "add a/x 3", "add a/x 4", "add a/x 5", "add a/x 6", "delete a/x <nil>", "add a/y z"}
		if !slices.Equal(got, want) {
			t.Errorf("heard %q", got)
		}
	})
}

// What was set where there is a directory, is there after everybody was away at once.
func TestEngine_KeysSurviveRestart(t *testing.T) {
	testnet.Run(t, func(t *testing.T, seed uint64) {
		l := newLab(t, seed, 3)
		disks := []*vfs.MemFS{vfs.NewMem(), vfs.NewMem(), vfs.NewMem()}
		start := func() {
			for i := range 3 {
				l.open(i, &Options{Dir: "table", files: disks[i]})
				if i > 0 {
					l.Connect(i, 0)
				}
				l.joinRing(i)
			}
			l.settle()
		}
		stop := func() {
			for i := range 3 {
				l.tables[i].Close()
				l.Meshes[i].Close()
			}
		}
		start()
		for i := range 50 {
			l.set(i%3, fmt.Sprint("key", i), i)
		}
		if err := l.tables[0].Delete(l.Ctx(), "key7"); err != nil {
			t.Error(err)
		}
		stop()
		start()
		for i := range 50 {
			if i != 7 {
				l.has(fmt.Sprint("key", i), int64(i), 0, 1, 2)
			}
		}
		l.lacks("key7", 0, 1, 2)
	})
}

// What was left for longer than deletions are remembered, is not taken up again.
func TestEngine_OldStoreIsDropped(t *testing.T) {
	files, now := vfs.NewMem(), time.Now()
	log := slog.New(slog.DiscardHandler)
	for _, c := range []struct {
		later time.Duration
		keys  int
	}{{0, 0}, {home.TombstoneTime - time.Hour, 1}, {2 * home.TombstoneTime, 0}} {
		s := home.NewStore(8, 1<<20)
		d, err := openDisk("table", files, log, s, now.Add(c.later))
		if err != nil {
			t.Fatal(err)
		}
		if s.Alive() != c.keys {
			t.Errorf("%d keys after %v", s.Alive(), c.later)
		}
		w := home.Write{Version: home.Version{Counter: 1, Writer: "w", Hash: home.Hash("v")}, Size: 1}
		wait, err := d.put("key", w, "v")
		if err == nil {
			err = wait()
		}
		if err == nil {
			err = d.close(now.Add(c.later))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
