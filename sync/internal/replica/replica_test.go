package replica

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A history is replicas in a simulation without a network: events that get lost, come
// twice and in any order, and reconciliations between any two.
type history struct {
	t        *rapid.T
	rng      *rand.Rand
	replicas []*Replica
	flight   []flight
	clock    time.Duration
	killers  map[Dot][]Dot // what was written in knowledge of a dot
}

// flight is an event on its way.
type flight struct {
	to     int
	events []*Entry
}

func newHistory(t *rapid.T, n int, leasing bool) *history {
	w := &history{t: t, rng: rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)), killers: map[Dot][]Dot{}}
	for i := range n {
		id := string(rune('a' + i))
		w.replicas = append(w.replicas, New(Rules{Self: id, Leasing: leasing, Lease: time.Hour}, id+"/1", 1<<30))
	}
	return w
}

func (w *history) now() Instant { return Instant{Count: w.clock, Wall: time.UnixMilli(0).Add(w.clock)} }

// copied is an event as it comes over the wire, with the age of its lease.
func copied(e *Entry, renewed time.Duration) *Entry {
	return &Entry{Record: e.Record, hash: e.hash, renewed: renewed}
}

// write lets a replica do something and sends it to most of the others.
func (w *history) write(i int, o Op, loss float64) {
	r := w.replicas[i]
	planned, err := r.plan(w.now(), []Op{o})
	if err != nil {
		if lease := (*LeaseError)(nil); !errors.As(err, &lease) && !errors.Is(err, ErrNotFound) {
			w.t.Fatal(err)
		}
		return
	}
	for _, e := range planned {
		if e.Over.N != 0 {
			w.killers[e.Over] = append(w.killers[e.Over], e.Dot)
		}
	}
	r.commit(w.now(), planned, &Effects{})
	for j := range w.replicas {
		if j != i && w.rng.Float64() >= loss {
			w.flight = append(w.flight, flight{j, planned})
		}
	}
}

// land delivers one of the events under way, which may stay to come again.
func (w *history) land() {
	k := w.rng.IntN(len(w.flight))
	f := w.flight[k]
	if w.rng.Float64() >= 0.1 {
		w.flight = slices.Delete(w.flight, k, k+1)
	}
	var events []*Entry
	for _, e := range f.events {
		events = append(events, copied(e, w.clock))
	}
	w.replicas[f.to].Receive(w.now(), events)
}

// level reconciles two replicas, by comparing all of their keys.
func (w *history) reconcile(a, b *Replica) {
	var out Effects
	seenA, seenB := a.seen.clone(), b.seen.clone()
	give := func(from, to *Replica, fromSeen, toSeen SeenSet) {
		for _, e := range slices.Collect(from.tree.all(span{})) {
			held := to.tree.get(e.Key)
			switch {
			case held != nil && held.Dot == e.Dot:
			case toSeen.has(e.Dot):
				from.prune(w.now(), e.Key, e.Dot, toSeen, &out)
			default:
				to.accept(w.now(), copied(e, e.renewed), &out)
			}
		}
	}
	give(a, b, seenA, seenB)
	give(b, a, seenB, seenA)
	a.unite(w.now(), seenB, &out)
	b.unite(w.now(), seenA, &out)
}

// noGhosts checks that no replica shows what it has seen the end of.
func (w *history) noGhosts() {
	for _, r := range w.replicas {
		for e := range r.tree.all(span{}) {
			for _, killer := range w.killers[e.Dot] {
				if r.seen.has(killer) {
					w.t.Fatalf("%s shows %v of %q although it has seen %v", r.Self, e.Dot, e.Key, killer)
				}
			}
		}
	}
}

// equal checks that all replicas are, down to the fingerprint, and hold nothing that
// was replaced or deleted by anybody who knew it.
func (w *history) equal() {
	first := w.replicas[0]
	for _, r := range w.replicas {
		if r.tree.summarise(span{}) != first.tree.summarise(span{}) || r.seen.hash() != first.seen.hash() {
			w.t.Fatalf("%s and %s differ: %v and %v", first.Self, r.Self, show(first), show(r))
		}
		if len(r.waiting) != 0 || r.waited != 0 {
			w.t.Fatalf("%d events, %d bytes, still wait at %s", len(r.waiting), r.waited, r.Self)
		}
	}
	for e := range first.tree.all(span{}) {
		if len(w.killers[e.Dot]) > 0 {
			w.t.Fatalf("%v of %q came back", e.Dot, e.Key)
		}
	}
}

func show(r *Replica) (list []string) {
	for e := range r.tree.all(span{}) {
		list = append(list, fmt.Sprint(e.Key, e.Dot, e.Term, e.Owner, e.Seq))
	}
	return list
}

// P4 and P5, as in the model that the rule was tried out with: random histories with
// losses, repetitions, any order and reconciliations between any two.
func TestReplica_HistoriesConverge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newHistory(t, rapid.IntRange(2, 5).Draw(t, "replicas"), rapid.Bool().Draw(t, "leasing"))
		keys := rapid.IntRange(1, 3).Draw(t, "keys")
		for step := range rapid.IntRange(10, 120).Draw(t, "steps") {
			w.clock += time.Duration(w.rng.IntN(20)) * time.Minute
			switch x := w.rng.Float64(); {
			case x < 0.45:
				o := Op{Key: fmt.Sprint("k", w.rng.IntN(keys)), Value: fmt.Sprint(step), Delete: w.rng.Float64() < 0.3}
				if o.Delete {
					o.Value = ""
				}
				if w.rng.Float64() < 0.2 {
					o.By = &Relayed{Owner: fmt.Sprint("legacy:s/", w.rng.IntN(2)), Time: w.now().Wall}
				}
				w.write(w.rng.IntN(len(w.replicas)), o, 0.3)
			case x < 0.9 && len(w.flight) > 0:
				w.land()
			case x >= 0.9:
				pair := w.rng.Perm(len(w.replicas))
				w.reconcile(w.replicas[pair[0]], w.replicas[pair[1]])
			}
			w.noGhosts()
		}
		for range 2 {
			for _, i := range w.rng.Perm(len(w.replicas)) {
				for _, j := range w.rng.Perm(len(w.replicas)) {
					if i != j {
						w.reconcile(w.replicas[i], w.replicas[j])
					}
				}
			}
		}
		w.noGhosts()
		w.equal()
	})
}

// The order of the living is total, and what was written in knowledge of another is
// above it.
func TestRecord_OrderIsTotal(t *testing.T) {
	few := rapid.Uint64Range(1, 3)
	rec := rapid.Custom(func(t *rapid.T) Record {
		return Record{
			Key: "k", Value: rapid.SampledFrom([]string{"", "x"}).Draw(t, "value"),
			Owner: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "owner"),
			Term:  few.Draw(t, "term"), Seq: few.Draw(t, "seq"), Dot: Dot{Writer: "w", N: few.Draw(t, "n")},
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := rec.Draw(t, "a"), rec.Draw(t, "b"), rec.Draw(t, "c")
		if x, y := a.compare(&b), b.compare(&a); x != -y || x == 0 && a != b {
			t.Fatalf("%v and %v: %d and %d", a, b, x, y)
		}
		if a.compare(&b) <= 0 && b.compare(&c) <= 0 && a.compare(&c) > 0 {
			t.Fatalf("%v, %v, %v go round", a, b, c)
		}
		r := New(Rules{Self: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "self"), Leasing: false, Lease: time.Hour}, "w", 1<<20)
		r.tree.put(&Entry{Record: a}, func(*Entry) bool { return true })
		r.top = max(a.Term, b.Term)
		planned, err := r.plan(Instant{}, []Op{{Key: "k", Value: "new"}})
		if err != nil {
			t.Fatal(err)
		}
		if planned[0].Record.compare(&a) <= 0 {
			t.Fatalf("%v was written in knowledge of %v and is not above it", planned[0].Record, a)
		}
	})
}

// The table of design and docs: who may write, and with which term and number.
func TestRules_WhoMayWrite(t *testing.T) {
	const minute = time.Minute
	at := func(count, wall time.Duration) Instant {
		return Instant{Count: count, Wall: time.UnixMilli(0).Add(wall)}
	}
	held := func(owner string) *Entry {
		return &Entry{Record: Record{Key: "k", Owner: owner, Term: 7, Seq: 3, Time: 0}}
	}
	for name, c := range map[string]struct {
		leasing   bool
		held      *Entry
		now       Instant
		term, seq uint64
		left      time.Duration // if it may not
	}{
		"nobody has it":                        {leasing: true, held: nil, now: at(0, 0), term: 10, seq: 0, left: 0},
		"its own":                              {leasing: true, held: held("x"), now: at(minute, minute), term: 7, seq: 4, left: 0},
		"its own, run out":                     {leasing: true, held: held("x"), now: at(3*time.Hour, 3*time.Hour), term: 7, seq: 4, left: 0},
		"another's":                            {leasing: true, held: held("y"), now: at(minute, minute), term: 0, seq: 0, left: 62 * minute},
		"another's, in its grace":              {leasing: true, held: held("y"), now: at(62*minute, 0), term: 0, seq: 0, left: minute},
		"another's, run out":                   {leasing: true, held: held("y"), now: at(63*minute, 0), term: 10, seq: 0, left: 0},
		"another's, by a wall clock a day off": {leasing: true, held: held("y"), now: at(0, 24*time.Hour), term: 0, seq: 0, left: 63 * minute},
		"another's without leasing":            {leasing: false, held: held("y"), now: at(0, 0), term: 10, seq: 0, left: 0},
		"an old node's":                        {leasing: true, held: held("legacy:s/1"), now: at(0, 0), term: 0, seq: 0, left: 63 * minute},
	} {
		term, seq, err := Rules{Self: "x", Leasing: c.leasing, Lease: time.Hour}.write(c.now, c.held, 9)
		var lease *LeaseError
		if errors.As(err, &lease) != (c.left > 0) || lease != nil && (lease.For != c.left || lease.Owner != c.held.Owner || lease.Key != "k") {
			t.Errorf("%s: %v", name, err)
		} else if term != c.term || seq != c.seq {
			t.Errorf("%s: term %d, seq %d", name, term, seq)
		}
	}
	absurd := held("y")
	absurd.Term = maxTerm
	if _, _, err := (Rules{Self: "x", Leasing: true, Lease: time.Hour}).write(at(3*time.Hour, 0), absurd, 9); !errors.Is(err, errTerms) {
		t.Errorf("beyond the highest term: %v", err)
	}
	if raise(9, 12) != 12 || raise(9, 7) != 9 || raise(9, maxTerm) != 9 {
		t.Error("terms that nobody counts to count")
	}
	own := Rules{Self: "x", Leasing: true, Lease: time.Hour}
	if left := own.Remaining(at(0, 24*time.Hour), held("x")); left != 0 {
		t.Errorf("a day later by the wall clock its own lease runs for %v", left)
	}
	if left := own.Remaining(at(24*time.Hour, 0), held("x")); left != 0 {
		t.Errorf("a day later by the count its own lease runs for %v", left)
	}
}

// Who loses a record is told, and who sees a lease taken that still runs.
func TestReplica_ReportsLostAndTakenLeases(t *testing.T) {
	w := map[string]*Replica{}
	for _, id := range []string{"a", "b", "c"} {
		w[id] = New(Rules{Self: id, Leasing: true, Lease: time.Hour}, id+"/1", 1<<20)
	}
	now := Instant{Count: 0, Wall: time.UnixMilli(0)}
	write := func(id, value string) *Entry {
		planned, err := w[id].plan(now, []Op{{Key: "k", Value: value}})
		if err != nil {
			t.Fatal(err)
		}
		w[id].commit(now, planned, &Effects{})
		return planned[0]
	}
	one, two := write("a", "1"), write("b", "2") // at once, without knowledge of each other
	if out := w["b"].Receive(now, []*Entry{copied(one, 0)}); len(out.Lost) != 1 || out.Lost[0].Old.Dot != two.Dot || len(out.Taken) != 0 {
		t.Errorf("the loser is told %+v", out)
	}
	if out := w["a"].Receive(now, []*Entry{copied(two, 0)}); len(out.Lost) != 0 || len(out.Changes) != 0 || len(out.Writers) != 1 {
		t.Errorf("the winner is told %+v", out)
	}
	if out := w["c"].Receive(now, []*Entry{copied(two, 0), copied(one, 0)}); len(out.Lost) != 0 || len(out.Taken) != 1 {
		t.Errorf("a bystander is told %+v", out)
	}
}

// A number of one's own that comes from elsewhere is noticed.
func TestReplica_NoticesIdentityClash(t *testing.T) {
	now := Instant{Count: 0, Wall: time.UnixMilli(0)}
	a, b := New(Rules{Self: "a", Leasing: true, Lease: time.Hour}, "a/1", 1<<20), New(Rules{Self: "a", Leasing: true, Lease: time.Hour}, "a/1", 1<<20)
	for i, r := range []*Replica{a, b} {
		planned, err := r.plan(now, []Op{{Key: "k", Value: fmt.Sprint(i)}})
		if err != nil {
			t.Fatal(err)
		}
		r.commit(now, planned, &Effects{})
	}
	if out := a.Receive(now, []*Entry{copied(b.tree.get("k"), 0)}); !out.IdentityClash {
		t.Error("another use of a number went unnoticed")
	}
	if out := a.Receive(now, []*Entry{copied(a.tree.get("k"), 0)}); out.IdentityClash {
		t.Error("its own event clashed")
	}
	fresh := New(Rules{Self: "a", Leasing: true, Lease: time.Hour}, "a/1", 1<<20) // from a backup
	if out := fresh.Receive(now, []*Entry{copied(a.tree.get("k"), 0)}); !out.IdentityClash {
		t.Error("a number that it has forgotten went unnoticed")
	}
}

// A seen set that could not be written down, and read again, is not taken over.
func TestReplica_RefusesScatteredSeenSet(t *testing.T) {
	r, scattered := testReplica("a"), SeenSet{}
	for i := range uint64(maxIntervals) {
		scattered.add(Dot{Writer: "b/1", N: 4*i + 1})
	}
	var out Effects
	if r.unite(Instant{}, scattered, &out); out.Full || len(r.seen["b/1"]) != maxIntervals {
		t.Errorf("a set at the limit: %v, %d intervals", out.Full, len(r.seen["b/1"]))
	}
	if r.unite(Instant{}, SeenSet{"b/1": {{First: 3, Last: 3}}}, &out); !out.Full || len(r.seen["b/1"]) != maxIntervals {
		t.Errorf("a set beyond it: %v, %d intervals", out.Full, len(r.seen["b/1"]))
	}
}

// What there is no room for is not counted as seen.
func TestReplica_FullCountsNothingAsSeen(t *testing.T) {
	now := Instant{Count: 0, Wall: time.UnixMilli(0)}
	big, small := New(Rules{Self: "a", Leasing: true, Lease: time.Hour}, "a/1", 1<<20), New(Rules{Self: "b", Leasing: true, Lease: time.Hour}, "b/1", 1000)
	var events []*Entry
	for i := range 4 {
		planned, err := big.plan(now, []Op{{Key: fmt.Sprint(i), Value: "v"}})
		if err != nil {
			t.Fatal(err)
		}
		big.commit(now, planned, &Effects{})
		events = append(events, copied(planned[0], 0))
	}
	out := small.Receive(now, events)
	if !out.Full || small.tree.len() != 2 || small.seen.next("a/1") != 3 {
		t.Errorf("%d entries, next %d, %+v", small.tree.len(), small.seen.next("a/1"), out)
	}
	if _, err := small.plan(now, []Op{{Key: "mine", Value: "v"}}); !errors.Is(err, ErrFull) {
		t.Errorf("writing to a full replica: %v", err)
	}
}
