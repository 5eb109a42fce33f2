package chord

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/chord/internal/home"
	"github.com/p2p-today/go2p/chord/internal/ring"
	"github.com/p2p-today/go2p/chord/internal/schedule"
	"github.com/p2p-today/go2p/chord/internal/wire"
	"github.com/p2p-today/go2p/internal/notify"
)

// A node is this peer's part of the ring, and what it stores. It answers the questions of
// other nodes.
//
// One lock guards the ring, the schedule and the storage. It is a lock and not a loop, so
// that a question is answered without a switch of goroutines. And it is one lock, so that
// nothing is given away between the moment a key's role is checked and the moment its
// value is read: a majority never counts a node that has just forgotten the key.
type node struct {
	id         peer.ID
	k          ring.Circle
	log        *slog.Logger
	emit       func(Event)
	neighbours *neighbours
	news       *notify.Broadcast // the ring has changed, or more of it is known
	wake       notify.Flag       // the schedule has changed
	changed    notify.Broadcast  // the change log has grown
	questions  atomic.Uint64     // of other peers

	mu       sync.Mutex
	ring     *ring.Ring
	schedule *schedule.Schedule
	storage  storage
}

func newNode(id peer.ID, maxBytes int64, neighbours *neighbours) *node {
	k := neighbours.k
	n := &node{
		id: id, k: k, log: neighbours.log, emit: neighbours.emit, neighbours: neighbours, news: neighbours.news,
		wake: notify.NewFlag(), ring: ring.New(k, string(id)),
	}
	n.schedule = schedule.New(n.ring)
	n.storage = storage{
		log: n.log, store: home.NewStore(k, maxBytes), engine: memory{},
		changes: home.NewChangeLog(rand.Uint64()), changed: &n.changed,
	}
	return n
}

// took has the schedule follow a change of the ring. The caller holds mu.
func (n *node) took(now time.Time, e ring.Effects) {
	due := n.schedule.Deadline()
	n.schedule.Took(now, e)
	if n.schedule.Deadline().Before(due) {
		n.wake.Set()
	}
}

// meet takes the view of a peer that has greeted or answered, and further nodes that it
// tells of.
func (n *node) meet(now time.Time, p peer.ID, v *ring.View, others ...ring.Node) {
	n.mu.Lock()
	n.took(now, n.ring.Meet(now, *v))
	for _, o := range others {
		n.took(now, n.ring.Hear(now, o))
	}
	n.mu.Unlock()
	n.neighbours.accept(p)
	n.news.Notify()
}

// lose takes out a peer that does not answer.
func (n *node) lose(p peer.ID, why error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	e := n.ring.Lose(now, string(p))
	if e.Lost {
		n.log.Info("a peer that stores is gone", "peer", p, "err", why)
	}
	n.took(now, e)
}

// hello returns a greeting of this peer.
func (n *node) hello() *wire.Question {
	n.mu.Lock()
	defer n.mu.Unlock()
	v := n.ring.View(time.Now())
	return &wire.Question{Kind: wire.AskGreet, K: n.k, View: &v}
}

// valid reports whether a view is one of a peer, on this circle.
func (n *node) valid(p peer.ID, v *ring.View) bool {
	on := func(nodes []ring.Node) bool {
		for _, o := range nodes {
			if uint64(o.Slot) >= 1<<n.k {
				return false
			}
		}
		return true
	}
	return v.Self.Peer == string(p) && uint64(v.Self.Slot) < 1<<n.k && on(v.Preds) && on(v.Succs)
}

// advance returns what is due, and when the next thing is.
func (n *node) advance(now time.Time) (e schedule.Effects, next time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	e = n.schedule.Advance(now)
	return e, n.schedule.Deadline()
}

// sweep forgets deletions that need not be remembered any more.
func (n *node) sweep(now time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.storage.sweep(now)
}

func (n *node) stores() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.ring.Stores()
}

// known returns the nodes from which a walk around the ring may start: this one if it
// stores, else all that are or were in the ring.
func (n *node) known() []ring.Node {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ring.Stores() {
		return []ring.Node{n.ring.Self()}
	}
	return slices.Clone(n.ring.Known())
}

func (n *node) knows(p peer.ID) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.ring.Knows(string(p))
}

// replicas returns the replicas of a key, as far as this node knows.
func (n *node) replicas(positions [ring.Copies]ring.Slot) []ring.Replica {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.ring.Replicas(positions)
}

// next returns the node to ask first for a slot. If nobody is known and it may, this node
// founds a ring with the slot.
func (n *node) next(s ring.Slot, mayFound bool) (start ring.Node, known, founded bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if start, known = n.ring.Next(s); !known && mayFound {
		now := time.Now()
		n.joined(now, n.k.Everything(), n.ring.Found(now, s, rand.Uint64()))
		return start, false, true
	}
	return start, known, false
}

// enter takes a slot that another node has granted.
func (n *node) enter(s ring.Slot, by *ring.View) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	n.joined(now, ring.Reach{}, n.ring.Enter(now, s, *by))
}

// joined follows the entry into the ring. The caller holds mu.
func (n *node) joined(now time.Time, complete ring.Reach, e ring.Effects) {
	n.schedule.Joined(now, complete)
	n.took(now, e)
	n.wake.Set()
	n.log.Info("stores", "slot", n.ring.Self().Slot)
	n.emit(Event{Kind: EventJoined})
	n.news.Notify()
}

// leave gives up the slot. It returns the neighbours on the ring, and the view that they need
// to close the gap.
func (n *node) leave() (last ring.View, neighbours []ring.Node) {
	n.mu.Lock()
	defer n.mu.Unlock()
	last, neighbours = n.ring.View(time.Now()), n.ring.Neighbours()
	n.ring.Exit()
	n.schedule.Left()
	n.emit(Event{Kind: EventLeft})
	n.news.Notify()
	return last, neighbours
}

// close closes the storage engine, at the end.
func (n *node) close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.storage.engine.close(time.Now())
}

// status fills in what the node knows.
func (n *node) status(s *Status) {
	n.mu.Lock()
	defer n.mu.Unlock()
	s.Stores, s.Slot = n.ring.Stores(), uint64(n.ring.Self().Slot)
	s.Known, s.Upkept = len(n.ring.Known()), n.ring.Tracked()
	s.Backfilling, s.Failed = n.schedule.Lacking(), n.storage.failed
	s.Keys = n.storage.store.Alive()
	s.Bytes, s.MaxBytes = n.storage.store.Bytes()
	s.Questions = n.questions.Load()
}

// fingers returns this node's fingers, if it stores.
func (n *node) fingers() (all []Finger) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ring.Stores() {
		for x, f := range n.ring.Fingers() {
			goal := n.k.At(n.ring.Self().Slot, 1<<x)
			all = append(all, Finger{X: x, Goal: uint64(goal), Slot: uint64(f.Slot), Peer: peer.ID(f.Peer).String()})
		}
	}
	return all
}

func (n *node) neighboursOnRing() []ring.Node {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.ring.Neighbours()
}

// cached returns the nodes of the location cache.
func (n *node) cached() []ring.Node {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.ring.Known())
}

func (n *node) beginBackfill() schedule.Backfill {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.schedule.Begin()
}

// completed notes that all of a backfill is here. The error says that it could not be stored.
func (n *node) completed(b schedule.Backfill) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.storage.failed == nil {
		n.schedule.Done(b)
	}
	return n.storage.failed
}

func (n *node) backfilled(failed bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.schedule.Backfilled(time.Now(), failed)
	n.wake.Set()
	n.news.Notify()
}

// lacks reports whether an entry is newer than what is here.
func (n *node) lacks(e home.Entry) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return e.Write.Compare(n.storage.store.Version(e.Key)) > 0
}

// accept stores what was fetched, and waits until it is on disk.
func (n *node) accept(ctx context.Context, q *wire.Question) *wire.Reply {
	n.mu.Lock()
	a, wait := n.put(time.Now(), q, false, false)
	n.mu.Unlock()
	if wait != nil {
		a = wait(ctx)
	}
	return a
}

// stock returns the keys of all that is stored here, whether this node has a slot, and
// whether it is then the only one.
func (n *node) stock() (keys []string, stores, alone bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.storage.store.Keys(), n.ring.Stores(), len(n.ring.Succs()) == 0
}

// allKeys returns the keys of all that is stored here.
func (n *node) allKeys() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.storage.store.Keys()
}

// foreignKeys returns some of the keys that this node is no replica of, and will not be soon.
// There are none while it lacks others.
func (n *node) foreignKeys() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.ring.Stores() || n.schedule.Lacking() {
		return nil
	}
	return n.storage.store.Outside(n.ring.Self().Slot, n.ring.Neighbourhood(), home.MaxPage)
}

func (n *node) handedOff() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.schedule.HandedOff(time.Now())
	n.wake.Set()
}

// A gift is a key that is to be given away.
type gift struct {
	version    *wire.Reply    // with its value
	now, later []ring.Replica // its replicas, and those without this node
}

// gift returns what there is to give of a key; ok is false if that is nothing.
func (n *node) gift(key string) (g gift, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, ok := n.storage.store.Get(key); !ok {
		return g, false
	}
	positions := n.k.Positions(key)
	g.version = n.version(&wire.Question{Key: key}, false)
	g.now, g.later = n.ring.Replicas(positions), n.ring.ReplicasWithout(positions, string(n.id))
	return g, true
}

// forgetForeign forgets a key that its replicas have. It reports false, and forgets nothing,
// if there is another version now, or if this node may be a replica: then those that have
// taken the key might rely on this node, as it does on them.
func (n *node) forgetForeign(key string, v home.Version) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.storage.store.Version(key) != v || n.ring.Near(n.k.Positions(key), n.ring.Window()) {
		return false
	}
	n.storage.forget(key)
	return true
}
