package chord

import (
	"log/slog"
	"math/rand/v2"
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
	return append([]ring.Node(nil), n.ring.Known()...)
}

// knowsAny reports whether a peer is known that stores, which may be this one.
func (n *node) knowsAny() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.ring.Known()) > 0
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
