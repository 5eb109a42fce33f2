package ring

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"
)

// A world is a ring in virtual time, all of which follows from its seed.
type world struct {
	t     *testing.T
	rng   *rand.Rand
	k     Circle
	now   time.Time
	queue events
	seq   int
	nodes []*simNode // all that ever were
	check func()     // after every step
	based bool       // there have been enough members
	steps int
	trace func(format string, args ...any) // is told what happens, if it is not nil
}

func (w *world) tell(format string, args ...any) {
	if w.trace != nil {
		w.trace(format, args...)
	}
}

type simNode struct {
	*Ring
	w       *world
	alive   bool
	side    int // of a partition
	joining bool
	full    bool   // it was told that there is no slot
	slots   []Slot // that it asks for; those of its hash if there are none
}

type simEvent struct {
	at  time.Time
	seq int
	do  func()
}

type events []simEvent

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at.Before(e[j].at) || e[i].at.Equal(e[j].at) && e[i].seq < e[j].seq
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(simEvent)) }
func (e *events) Pop() any     { old := *e; x := old[len(old)-1]; *e = old[:len(old)-1]; return x }

const silence = 2 * time.Second // until a caller gives up

func newWorld(t *testing.T, seed uint64, k Circle) *world {
	return &world{t: t, rng: rand.New(rand.NewPCG(seed, 5)), k: k, now: time.Unix(1e9, 0), check: func() {}}
}

func (w *world) after(d time.Duration, do func()) {
	w.seq++
	heap.Push(&w.queue, simEvent{w.now.Add(d), w.seq, do})
}

// run lets time pass.
func (w *world) run(d time.Duration) {
	for end := w.now.Add(d); ; {
		if len(w.queue) == 0 || w.queue[0].at.After(end) {
			w.now = end
			return
		}
		ev := heap.Pop(&w.queue).(simEvent)
		w.now = ev.at
		ev.do()
		w.steps++
		w.check()
	}
}

func (w *world) delay() time.Duration { return time.Duration(1+w.rng.IntN(50)) * time.Millisecond }

func (w *world) members() (live []*simNode) {
	for _, n := range w.nodes {
		if n.alive && n.stores {
			live = append(live, n)
		}
	}
	return live
}

func (w *world) node(peer string) *simNode {
	i := slices.IndexFunc(w.nodes, func(n *simNode) bool { return n.Ring.self.Peer == peer })
	if i < 0 {
		return nil
	}
	return w.nodes[i]
}

// call has another node answer, and then goes on.
func (n *simNode) call(to string, answer func(*simNode) func(), silent func()) {
	w := n.w
	w.after(w.delay(), func() {
		o := w.node(to)
		if o == nil || !o.alive || o.side != n.side {
			w.after(silence, func() {
				if n.alive {
					w.tell("%s gets no answer from %s", n.Ring.self.Peer, to)
					silent()
				}
			})
			return
		}
		then := answer(o)
		w.after(w.delay(), func() {
			if n.alive {
				then()
			}
		})
	})
}

func (n *simNode) greet(o Node) {
	mine := n.View(n.w.now)
	n.call(o.Peer, func(o *simNode) func() {
		e := o.Meet(n.w.now, mine)
		theirs := o.View(n.w.now)
		o.perform(e)
		return func() { n.perform(n.Meet(n.w.now, theirs)) }
	}, func() { n.perform(n.Lose(n.w.now, o.Peer)) })
}

// perform does what follows from a call.
func (n *simNode) perform(e Effects) {
	for _, o := range e.Greet {
		n.greet(o)
	}
	for _, l := range e.Look {
		n.lookup(l, func(v View) { n.perform(n.Meet(n.w.now, v)) }, func() {})
	}
	if e.Merged {
		n.w.tell("%s finds that two rings have become one", n.Ring.self.Peer)
	}
	if e.Shaken {
		n.w.tell("%s has lost a predecessor", n.Ring.self.Peer)
	}
	if e.Evicted && !n.joining {
		n.w.tell("%s leaves its slot to another node", n.Ring.self.Peer)
		n.join()
	}
}

// lookup finds the owner of a position.
func (n *simNode) lookup(l *Lookup, found func(View), lost func()) {
	n.call(l.At.Peer, func(o *simNode) func() {
		v, owns := o.View(n.w.now), o.Owns(l.Position)
		next, ok := o.Next(l.Position)
		return func() {
			switch {
			case owns:
				found(v)
			case ok && l.Redirect(append(slices.Clone(v.Succs), next)...), !ok && l.Skip():
				n.lookup(l, found, lost)
			default:
				lost()
			}
		}
	}, func() {
		n.perform(n.Lose(n.w.now, l.At.Peer))
		if l.Skip() {
			n.lookup(l, found, lost)
		} else {
			lost()
		}
	})
}

// join has a node that knows somebody ask for a slot.
func (n *simNode) join() {
	n.joining = true
	if n.slots != nil {
		n.tryJoin(n.slots)
		return
	}
	var slots []Slot
	for s := range n.k.Probe(n.Ring.self.Peer) {
		if slots = append(slots, s); len(slots) == 64 {
			break
		}
	}
	n.tryJoin(slots)
}

func (n *simNode) tryJoin(slots []Slot) {
	again := func() {
		n.w.after(time.Second, func() {
			if n.alive {
				n.join()
			}
		})
	}
	if len(slots) == 0 {
		n.joining, n.full = false, true
		return
	}
	start, ok := n.Next(slots[0])
	if !ok {
		again()
		return
	}
	n.lookup(NewLookup(n.k, slots[0], start), func(v View) {
		n.call(v.Self.Peer, func(o *simNode) func() {
			what, e := o.Claim(n.w.now, slots[0], n.Ring.self.Peer)
			v := o.View(n.w.now)
			o.perform(e)
			return func() {
				n.w.tell("%s claims slot %d of %s: %v", n.Ring.self.Peer, slots[0], v.Self.Peer, what)
				switch what {
				case Granted:
					n.joining = false
					n.perform(n.Enter(n.w.now, slots[0], v))
				case Taken:
					n.tryJoin(slots[1:])
				default:
					again()
				}
			}
		}, again)
	}, again)
}

// begin has a node do its upkeep for ever.
func (n *simNode) begin() {
	n.w.after(time.Duration(n.w.rng.IntN(1000))*time.Millisecond, n.tick)
}

func (n *simNode) tick() {
	if !n.alive {
		return
	}
	n.perform(n.Stabilize())
	n.w.after(time.Second, n.tick)
}

// arrive adds a node that knows another one.
func (w *world) arrive(knows *simNode) *simNode {
	n := &simNode{Ring: New(w.k, fmt.Sprintf("peer%d", len(w.nodes))), w: w, alive: true}
	w.nodes = append(w.nodes, n)
	if knows == nil {
		for s := range n.k.Probe(n.Ring.self.Peer) {
			n.Found(w.now, s, w.rng.Uint64())
			break
		}
	} else {
		n.side = knows.side
		n.cache.learn(knows.Ring.self)
		n.join()
	}
	n.begin()
	return n
}

// farewell has a node leave.
func (n *simNode) farewell() {
	v := n.View(n.w.now)
	for _, o := range n.Neighbours() {
		n.call(o.Peer, func(o *simNode) func() { o.perform(o.Depart(n.w.now, v)); return func() {} }, func() {})
	}
	n.Exit()
	n.w.after(silence, func() { n.alive = false })
}

// ordered checks the lists of every member, which are as they should be at any time.
func (w *world) ordered() {
	for _, n := range w.members() {
		for _, l := range []struct {
			nodes    []Node
			distance func(Node) uint64
		}{{n.succs, n.ahead}, {n.preds, n.behind}} {
			last := uint64(0)
			for _, o := range l.nodes {
				if d := l.distance(o); d <= last || len(l.nodes) > Listed {
					w.t.Fatalf("step %d: %v lists %v", w.steps, n.Ring.self, l.nodes)
				} else {
					last = d
				}
			}
		}
	}
}

// zave checks that every member lists a living successor, and that there are as many
// principals as a list with its owner has nodes, from when there first were.
func (w *world) zave() {
	w.ordered()
	members := w.members()
	for _, n := range members {
		if len(members) > 1 && !slices.ContainsFunc(n.succs, func(s Node) bool {
			o := w.node(s.Peer)
			return o.alive && (o.stores || o.joining)
		}) {
			w.t.Fatalf("step %d: nobody whom %v lists is there: %v", w.steps, n.Ring.self, n.succs)
		}
	}
	n := len(w.principals(nil))
	if w.based = w.based || len(members) > Listed+1 && w.ideal() == ""; w.based && n <= Listed {
		for _, m := range members {
			w.t.Logf("%v lists %v", m.Ring.self, m.succs)
		}
		w.t.Fatalf("step %d: %d of %d members are principals", w.steps, n, len(members))
	}
}

// principals are the members that no other member's list passes over, if one were not
// there.
func (w *world) principals(without *simNode) []*simNode {
	members := slices.DeleteFunc(w.members(), func(n *simNode) bool { return n == without })
	slices.SortFunc(members, func(a, b *simNode) int { return int(a.Ring.self.Slot) - int(b.Ring.self.Slot) })
	passed := map[*simNode]bool{}
	for i, n := range members {
		for _, s := range n.succs {
			for i++; ; i++ {
				m := members[i%len(members)]
				if w.k.Distance(n.Ring.self.Slot, m.Ring.self.Slot)-1 >= n.ahead(s)-1 { // s, or n again
					break
				}
				passed[m] = true
			}
			if members[i%len(members)].Ring.self != s {
				i--
			}
		}
	}
	return slices.DeleteFunc(members, func(n *simNode) bool { return passed[n] })
}

// ideal tells whether every member lists just those that follow and precede it, on its
// side of a partition.
func (w *world) ideal() (why string) {
	sides := map[int][]*simNode{}
	for _, n := range w.members() {
		sides[n.side] = append(sides[n.side], n)
	}
	for _, nodes := range sides {
		slices.SortFunc(nodes, func(a, b *simNode) int { return int(a.Ring.self.Slot) - int(b.Ring.self.Slot) })
		for i, n := range nodes {
			for j := 1; j <= min(Listed, len(nodes)-1); j++ {
				succ, pred := nodes[(i+j)%len(nodes)].Ring.self, nodes[(i-j+len(nodes))%len(nodes)].Ring.self
				if len(n.succs) < j || len(n.preds) < j || n.succs[j-1] != succ || n.preds[j-1] != pred {
					return fmt.Sprintf("%v lists %v and %v; %d on its side", n.Ring.self, n.succs, n.preds, len(nodes))
				}
			}
			if len(nodes) == 1 && len(n.succs)+len(n.preds) > 0 {
				return fmt.Sprintf("%v is alone and lists %v and %v", n.Ring.self, n.succs, n.preds)
			}
		}
	}
	return ""
}

// settle runs until the ring is as it should be.
func (w *world) settle(limit time.Duration) {
	w.t.Helper()
	why := ""
	for end := w.now.Add(limit); w.now.Before(end); w.run(time.Second) {
		if why = w.ideal(); why == "" {
			return
		}
	}
	for _, m := range w.members() {
		w.t.Logf("side %d: %v lists %v and %v", m.side, m.Ring.self, m.succs, m.preds)
	}
	w.t.Fatalf("step %d: not settled: %s", w.steps, why)
}

// long is how much more is done by hand than in a usual run of the tests.
func long[T any](short, long T) T {
	if os.Getenv("GO2P_LONG") == "1" {
		return long
	}
	return short
}

// P8, the ring: whatever joins, leaves and crashes, of these two at most before the lists
// are repaired, Zave's invariant holds after every step. What a partition has done is
// repaired on both sides, and the two rings become one when those meet again.
func TestRing_StormKeepsInvariant(t *testing.T) {
	for seed := range uint64(long(3, 200)) {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) { storm(t, seed, long(5000, 50000)) })
	}
}

func storm(t *testing.T, seed uint64, steps int) {
	w := newWorld(t, seed, Circle(8+seed%9))
	w.check = w.ordered
	w.arrive(nil)
	crashes := 0
	zave := func() {
		w.zave()
		if crashes > 0 && w.steps%16 == 0 && w.ideal() == "" {
			crashes = 0
		}
	}
	w.check = zave
	for len(w.members()) < 64 {
		if members := w.members(); len(w.nodes) < len(members)+8 {
			w.arrive(members[w.rng.IntN(len(members))])
		}
		w.run(time.Duration(w.rng.IntN(200)) * time.Millisecond)
	}
	for w.steps = 0; w.steps < steps; {
		members := w.members()
		any := members[w.rng.IntN(len(members))]
		spare := crashes < 2 && len(w.principals(any)) > Listed // it is not needed to keep the ring together
		switch what := w.rng.IntN(100); {
		case len(members) < 64 && what < 45:
			w.arrive(any)
		case len(members) > 8 && what < 55 && crashes == 0 && spare:
			any.farewell()
			crashes = 2
		case len(members) > 8 && what < 80 && spare:
			any.alive = false
			crashes++
		case len(members) > 8 && what < 85 && crashes == 0 && w.ideal() == "":
			w.check = w.ordered
			for _, n := range w.nodes {
				n.side = w.rng.IntN(2)
			}
			w.settle(5 * time.Minute)
			w.run(time.Duration(w.rng.IntN(60)) * time.Second)
			w.run(quarantine)
			members = w.members()
			other := slices.IndexFunc(members, func(n *simNode) bool { return n.side != members[0].side })
			for _, n := range w.nodes {
				n.side = 0
			}
			if other >= 0 { // one of each side meet, as neighbours in the mesh
				members[0].greet(members[other].Ring.self)
			}
			w.settle(5 * time.Minute)
			w.check = zave
		}
		w.run(time.Duration(w.rng.IntN(2000)) * time.Millisecond)
	}
	w.settle(5 * time.Minute)
	t.Logf("%d members in the end, %d ever", len(w.members()), len(w.nodes))
}

// However many peers fall silent, the list of those in quarantine is bounded.
func TestRing_QuarantineIsBounded(t *testing.T) {
	r, now := New(16, "self"), time.Unix(1e9, 0)
	r.Found(now, 1, 1)
	for i := range 3 * maxQuarantined {
		r.Lose(now, fmt.Sprint("peer", i))
		if len(r.quarantined) > maxQuarantined {
			t.Fatalf("%d peers are in quarantine", len(r.quarantined))
		}
	}
	now = now.Add(quarantine)
	r.Lose(now, "late")
	if len(r.quarantined) != 1 {
		t.Errorf("%d peers are in quarantine after its time", len(r.quarantined))
	}
}
