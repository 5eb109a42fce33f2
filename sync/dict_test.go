package sync

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/p2p-today/go2p/internal/meshtest"
	"github.com/p2p-today/go2p/internal/testnet"
)

// A simNetwork is a simulated network with a dictionary on each host.
type simNetwork struct {
	*meshtest.Lab
	t      *testing.T
	dicts  []*Dict
	events [][]Event
}

func newSimNetwork(t *testing.T, seed uint64, n int) *simNetwork {
	t.Helper()
	return &simNetwork{
		Lab: meshtest.New(t, seed, n), t: t,
		dicts: make([]*Dict, n), events: make([][]Event, n),
	}
}

// open starts the mesh and the dictionary of host i.
func (l *simNetwork) open(i int, opts *Options) *Dict {
	l.t.Helper()
	m := l.Join(i, "lab", nil)
	d, err := Open(l.t.Context(), m, opts)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { d.Close() })
	l.dicts[i] = d
	meshtest.Collect(&l.events[i], d.Events(context.Background()))
	return d
}

// openAll opens all, and connects each to the next.
func (l *simNetwork) openAll(opts *Options) {
	l.t.Helper()
	for i := range l.Hosts {
		l.open(i, opts)
	}
	l.Line()
	meshtest.Pass(3 * time.Second)
}

func (l *simNetwork) set(i int, key string, v any, opts ...WriteOption) {
	l.t.Helper()
	if err := l.dicts[i].Set(l.Ctx(), key, v, opts...); err != nil {
		l.t.Fatal(err)
	}
}

// has checks the value of a key at some hosts.
func (l *simNetwork) has(key string, want any, at ...int) {
	l.t.Helper()
	for _, i := range at {
		if got, err := l.dicts[i].Get(key); err != nil || !reflect.DeepEqual(got, want) {
			l.t.Errorf("%q at %d is %v, %v; want %v", key, i, got, err, want)
		}
	}
}

func (l *simNetwork) lacks(key string, at ...int) {
	l.t.Helper()
	for _, i := range at {
		if got, err := l.dicts[i].Get(key); !errors.Is(err, ErrNotFound) {
			l.t.Errorf("%q at %d is %v, %v; it should not be there", key, i, got, err)
		}
	}
}

// equal reports whether the replicas are equal, down to the fingerprint and the seen sets.
func (l *simNetwork) equal() bool {
	first := ""
	for _, d := range l.dicts {
		if d == nil {
			continue
		}
		s := d.state()
		if first == "" {
			first = s
		}
		if s != first {
			return false
		}
	}
	return true
}

func (d *Dict) state() string {
	d.pipeline.mu.RLock()
	defer d.pipeline.mu.RUnlock()
	return d.pipeline.replica.State()
}

func (l *simNetwork) emitted(i int, kind EventKind) bool {
	return slices.ContainsFunc(l.events[i], func(ev Event) bool { return ev.Kind == kind })
}

func TestDict_SharesWritesUnderLeases(t *testing.T) {
	testnet.Run(t, func(t *testing.T, seed uint64) {
		l := newSimNetwork(t, seed, 4)
		for i := range 3 {
			l.open(i, nil)
		}
		l.Connect(0, 1)
		l.Connect(1, 2)
		meshtest.Pass(3 * time.Second)
		l.set(0, "color", "blue")
		l.set(0, "empty", "")
		l.set(1, "list", []any{int64(1), 1.0, nil, []byte{0xff}})
		meshtest.Pass(time.Second)
		l.has("color", "blue", 0, 1, 2)
		l.has("empty", "", 0, 1, 2)
		l.has("list", []any{int64(1), 1.0, nil, []byte{0xff}}, 0, 1, 2)

		lease := (*LeaseError)(nil)
		if err := l.dicts[2].Set(l.Ctx(), "color", "red"); !errors.As(err, &lease) || lease.Owner != l.Hosts[0].ID().String() || lease.For < 59*time.Minute {
			t.Errorf("a write against a lease: %v", err)
		}
		if err := l.dicts[2].Delete(l.Ctx(), "color"); !errors.As(err, &lease) {
			t.Errorf("a delete against a lease: %v", err)
		}
		err := l.dicts[2].Update(l.Ctx(), map[string]any{"a": 1, "color": 2, "d": 3})
		if l.lacks("a", 2); !errors.As(err, &lease) {
			t.Errorf("an update against a lease: %v", err)
		}
		if err := l.dicts[0].Delete(l.Ctx(), "color"); err != nil {
			t.Error(err)
		}
		meshtest.Pass(time.Second)
		l.lacks("color", 0, 1, 2)
		l.set(2, "color", "red")
		meshtest.Pass(time.Second)
		l.has("color", "red", 0, 1, 2)
		if at, err := l.dicts[0].Lease("color"); err != nil || at.Term < 2 || !at.Signed || at.Owner != l.Hosts[2].ID().String() {
			t.Errorf("the lease is %+v, %v", at, err)
		}

		l.open(3, nil) // late
		l.Connect(3, 2)
		meshtest.Pass(time.Second)
		l.has("color", "red", 3)
		l.has("empty", "", 3)
		if !l.equal() {
			t.Error("not equal")
		}

		meshtest.Pass(time.Hour + 4*time.Minute) // lease and grace
		l.set(1, "color", "green")
		meshtest.Pass(time.Second)
		l.has("color", "green", 0, 1, 2, 3)
		if !l.emitted(2, EventLost) {
			t.Error("the owner was not told")
		}
	})
}

func TestDict_OperationsAndTheirErrors(t *testing.T) {
	testnet.Run(t, func(t *testing.T, seed uint64) {
		l := newSimNetwork(t, seed, 1)
		d := l.open(0, nil)
		ctx := l.Ctx()
		if err := d.Update(ctx, map[string]any{"b": 2, "a": 1, "c": map[string]any{"x": 1}}); err != nil {
			t.Fatal(err)
		}
		if got := slices.Collect(d.Keys()); !slices.Equal(got, []string{"a", "b", "c"}) {
			t.Errorf("keys %v", got)
		}
		if err := d.ApplyDelta(ctx, "c", map[string]any{"y": 2}); err != nil {
			t.Error(err)
		}
		if err := d.ApplyDelta(ctx, "new", map[string]any{"z": 3}); err != nil {
			t.Error(err)
		}
		if err := d.ApplyDelta(ctx, "a", map[string]any{}); !errors.Is(err, ErrNoMap) {
			t.Errorf("a delta on a number: %v", err)
		}
		want := map[string]any{"a": int64(1), "b": int64(2), "c": map[string]any{"x": int64(1), "y": int64(2)}, "new": map[string]any{"z": int64(3)}}
		if got := d.Copy(); !reflect.DeepEqual(got, want) {
			t.Errorf("copy %v", got)
		}
		if v, err := d.Pop(ctx, "b"); err != nil || v != int64(2) {
			t.Errorf("pop: %v, %v", v, err)
		}
		if _, err := d.Pop(ctx, "b"); !errors.Is(err, ErrNotFound) {
			t.Errorf("pop of what is not there: %v", err)
		}
		if k, v, err := d.PopItem(ctx); err != nil || k != "a" || v != int64(1) {
			t.Errorf("pop item: %v, %v, %v", k, v, err)
		}
		for range 2 {
			d.PopItem(ctx)
		}
		if _, _, err := d.PopItem(ctx); !errors.Is(err, ErrNotFound) || d.Len() != 0 {
			t.Errorf("pop item of nothing: %v, %d keys", err, d.Len())
		}
		if err := d.Set(ctx, strings.Repeat("k", MaxKey+1), 1); !errors.Is(err, ErrTooLarge) {
			t.Errorf("a key too large: %v", err)
		}
		if err := d.Set(ctx, "k", make([]byte, MaxValue)); !errors.Is(err, ErrTooLarge) {
			t.Errorf("a value too large: %v", err)
		}
		if err := d.Set(ctx, "k", make(chan int)); err == nil {
			t.Error("a channel is a value")
		}
		d.Close()
		if err := d.Set(ctx, "k", 1); !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}

// Many writers at once share signatures, and everything arrives.
func TestDict_ManyWritersAllArrive(t *testing.T) {
	testnet.Run(t, func(t *testing.T, seed uint64) {
		l := newSimNetwork(t, seed, 3)
		l.openAll(nil)
		done := make(chan error)
		const n = 2000
		for i := range n {
			go func() { done <- l.dicts[i%3].Set(l.Ctx(), fmt.Sprint("key", i), i) }()
		}
		for range n {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		meshtest.Pass(3 * time.Second)
		if !l.equal() || l.dicts[0].Len() != n {
			t.Errorf("%d keys, equal %v", l.dicts[0].Len(), l.equal())
		}
		for i, d := range l.dicts {
			if n := d.Status().Rejected; n != 0 {
				t.Errorf("%d has rejected %d times what honest peers sent", i, n)
			}
		}
	})
}

// Other leases are refused, at both ends with the same reason, and the mesh goes on.
func TestDict_OtherLeasesAreRefusedAtBothEnds(t *testing.T) {
	testnet.Run(t, func(t *testing.T, seed uint64) {
		l := newSimNetwork(t, seed, 2)
		l.open(0, nil)
		l.open(1, &Options{NoLease: true})
		l.Connect(0, 1)
		meshtest.Pass(5 * time.Second)
		for i, d := range l.dicts {
			err := d.Set(l.Ctx(), "k", 1)
			if refusal, ok := errors.AsType[*RefusedError](err); !ok || !errors.Is(err, ErrRefused) || refusal.Mine == refusal.Theirs {
				t.Errorf("set at %d: %v", i, err)
			}
			if err := d.AwaitInSync(l.Ctx()); !errors.Is(err, ErrRefused) {
				t.Errorf("level at %d: %v", i, err)
			}
			if n := len(l.events[i]); n != 1 || l.events[i][0].Kind != EventRefused {
				t.Errorf("events at %d: %v", i, l.events[i])
			}
			if len(l.Meshes[i].Peers()) != 1 {
				t.Error("the membership has ended")
			}
		}
		meshtest.Pass(time.Minute)
		if n := len(l.events[0]); n != 1 {
			t.Errorf("told %d times", n)
		}
	})
}

func TestDict_WithoutLeasesLastWriteStays(t *testing.T) {
	testnet.Run(t, func(t *testing.T, seed uint64) {
		l := newSimNetwork(t, seed, 2)
		l.openAll(&Options{NoLease: true})
		for i := range 6 {
			l.set(i%2, "k", i)
			meshtest.Pass(time.Second)
			l.has("k", int64(i), 0, 1)
		}
		if err := l.dicts[0].Delete(l.Ctx(), "k"); err != nil {
			t.Error(err)
		}
		meshtest.Pass(time.Second)
		l.lacks("k", 0, 1)
	})
}

func TestAcks_WaitForMembers(t *testing.T) {
	testnet.Run(t, func(t *testing.T, seed uint64) {
		l := newSimNetwork(t, seed, 3)
		l.openAll(nil)
		l.Connect(0, 2)
		meshtest.Pass(time.Second)
		l.set(0, "k", 1, Acks(2))
		l.has("k", int64(1), 1, 2)
		l.Cut(2)
		ctx, cancel := context.WithTimeout(l.Ctx(), 3*time.Second)
		defer cancel()
		if err := l.dicts[0].Set(ctx, "k", 2, Acks(2)); !errors.Is(err, ErrUnacknowledged) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("without one of two: %v", err)
		}
		l.has("k", int64(2), 0, 1)
	})
}

func TestWatch_YieldsStateThenChanges(t *testing.T) {
	testnet.Run(t, func(t *testing.T, seed uint64) {
		l := newSimNetwork(t, seed, 2)
		l.openAll(nil)
		l.set(0, "a/1", 1)
		l.set(0, "b/1", 1)
		meshtest.Pass(time.Second)
		ctx, cancel := context.WithCancel(l.Ctx())
		var got []Change
		go func() {
			for c, err := range l.dicts[1].Watch(ctx, "a/", "") {
				if err != nil {
					return
				}
				got = append(got, c)
			}
		}()
		meshtest.Pass(0)
		l.set(0, "a/2", 2)
		l.set(0, "b/2", 2)
		l.set(0, "a/1", 3)
		l.dicts[0].Delete(l.Ctx(), "a/2")
		meshtest.Pass(time.Second)
		cancel()
		meshtest.Pass(0)
		var texts []string
		for _, c := range got {
			texts = append(texts, fmt.Sprint(c.Kind, c.Key, c.Value, c.Old, c.Owner == l.Hosts[0].ID().String()))
		}
		want := []string{"updatea/1 1 <nil> true", "updatea/2 2 <nil> true", "updatea/1 3 1 true", "deletea/2 <nil> 2 true"}
		if len(texts) != 4 {
			t.Fatalf("watched %q", texts)
		}
		for i := range want {
			if strings.ReplaceAll(texts[i], " ", "") != strings.ReplaceAll(want[i], " ", "") {
				t.Errorf("watched %q, want %q", texts, want)
			}
		}
		// From a revision on, only what came after.
		watch := func(i int, from Revision) (kinds []string, last Revision) {
			ctx, cancel := context.WithTimeout(l.Ctx(), time.Second)
			defer cancel()
			for c, err := range l.dicts[i].Watch(ctx, "a/", from) {
				if err != nil {
					break
				}
				kinds = append(kinds, fmt.Sprint(c.Kind, " ", c.Key))
				last = c.Revision
			}
			return kinds, last
		}
		if got, _ := watch(1, got[1].Revision); !slices.Equal(got, []string{"update a/1", "delete a/2"}) {
			t.Errorf("resumed with %q", got)
		}
		if got, _ := watch(1, "other-1"); !slices.Equal(got, []string{"reset ", "update a/1"}) {
			t.Errorf("from another run: %q", got)
		}
		_, now := watch(0, "")
		for i := range maxLogged + 1 {
			l.set(0, "b/2", i)
		}
		if got, _ := watch(0, now); !slices.Equal(got, []string{"reset ", "update a/1"}) {
			t.Errorf("after too much has changed: %q", got)
		}
	})
}

func TestTyped_SeesOnlyItsType(t *testing.T) {
	testnet.Run(t, func(t *testing.T, seed uint64) {
		l := newSimNetwork(t, seed, 1)
		d := l.open(0, nil)
		type room struct {
			Celsius float64 `cbor:"c"`
			Tags    []string
		}
		rooms := NewTyped[string, room](d, "room/")
		l.set(0, "room/odd", "text")
		l.set(0, "rooms", 1)
		items := map[string]room{"a": {1.5, []string{"x"}}, "b": {2, []string{}}}
		if err := rooms.Update(l.Ctx(), items); err != nil {
			t.Fatal(err)
		}
		got := map[string]room{}
		for k, v := range rooms.All() {
			got[k] = v
		}
		if !reflect.DeepEqual(got, items) {
			t.Errorf("%v", got)
		}
		l.has("room/a", map[string]any{"c": 1.5, "Tags": []any{"x"}}, 0)
		if _, err := rooms.Get("odd"); err == nil {
			t.Error("a text is a room")
		}
		if _, err := rooms.Get("none"); !errors.Is(err, ErrNotFound) {
			t.Errorf("none: %v", err)
		}
		if err := rooms.Delete(l.Ctx(), "a"); err != nil {
			t.Error(err)
		}
		l.lacks("room/a", 0)
		if err := NewTyped[string, map[int]string](d, "").Set(l.Ctx(), "k", map[int]string{1: "x"}); err == nil {
			t.Error("a map with numbers as keys is of the data model")
		} else if _, ok := errors.AsType[*TypeError](err); !ok {
			t.Errorf("%v", err)
		}
	})
}

// A question for a write whose stream breaks is asked again.
func TestAcks_AskAgainAfterBrokenStreams(t *testing.T) {
	testnet.Run(t, func(t *testing.T, seed uint64) {
		l := newSimNetwork(t, seed, 2)
		l.openAll(nil)
		l.Connect(0, 1)
		meshtest.Pass(20 * time.Second)
		broken := 0
		l.Meshes[1].Service("broken").SetStreamHandler(Protocol, func(s network.Stream) {
			if broken < 5 {
				broken++
				s.Reset()
				return
			}
			l.dicts[1].server.serve(s)
		})
		l.set(0, "k", "v", Acks(1))
		if broken == 0 {
			t.Error("no stream was broken")
		}
		l.has("k", "v", 1)
	})
}
