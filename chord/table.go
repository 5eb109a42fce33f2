package chord

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/internal/fanout"
	"github.com/p2p-today/go2p/internal/metrics"
	"github.com/p2p-today/go2p/mesh"

	"github.com/p2p-today/go2p/chord/internal/home"
	"github.com/p2p-today/go2p/chord/internal/ring"
)

// Errors of a table, told apart with errors.Is.
var (
	ErrClosed     = errors.New("table is closed")
	ErrNotFound   = errors.New("no such key")
	ErrNoPeers    = errors.New("nobody stores: no peer of the table is known")
	ErrNoMajority = errors.New("no majority of the key's homes has answered")
	ErrRingFull   = errors.New("the ring is full: all its slots are taken")
	ErrFull       = errors.New("the key's homes have no room")
	ErrTooLarge   = errors.New("too large")
	ErrNoMap      = errors.New("the value is no map")
)

// TypeError says that a value is not of the data model.
type TypeError = mesh.TypeError

// A Table is this peer's part in its network's table. It begins as one that does not
// store; Join makes it store. Its methods may be called concurrently. It is made by Open
// and lives until Close.
type Table struct {
	id      peer.ID
	mesh    *mesh.Mesh
	service *mesh.Service // of that mesh
	opts    Options
	log     *slog.Logger
	k       ring.Circle
	net     transport
	links   *links
	events  fanout.Feed[Event]
	stats   stats
	metrics *metrics.Set
	keys    locks
	serves  bool // the mesh has its handler

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	wake   chan struct{} // the loop looks at the ring again

	joinMu sync.Mutex // held by Join and Unjoin

	mu        sync.Mutex
	closed    bool
	failed    error // why nothing is stored any more
	ring      *ring.Ring
	store     *home.Store
	shelf     shelf
	changeLog *home.ChangeLog
	news      chan struct{} // closed, and replaced, when there are more changes
	complete  ring.Reach    // what this peer has merged from all earlier homes
	due       time.Time     // of the next filling; zero if nothing is to be filled
	lost      time.Time     // when a neighbour on the ring was, last
	filling   bool
	merging   bool      // what is here is to be compared again, since two rings have met
	united    time.Time // until when that is to be done again
	drained   time.Time
	calm      int // turns of upkeep in which the lists did not change
	greeting  map[peer.ID]bool
	toGreet   []ring.Node      // were heard of
	doubted   map[peer.ID]bool // were neighbours, and it is not certain yet whether they are gone
	serving   map[peer.ID]int
	members   map[peer.ID]bool  // neighbours in the mesh
	neighbour map[peer.ID]error // of the mesh, that have said hello; the error is a *RefusedError or nil
	met       chan struct{}     // closed, and replaced, when there is news of the ring or of a neighbour
	pace      time.Duration     // about how long an answer takes
}

// Open makes this peer take part in the table of a mesh's network; there is one. It may
// read and write as soon as it knows of somebody who stores. The mesh stays the caller's,
// and must be closed after the table.
//
// The context bounds the call alone. Errors: wrong options, or ErrStore for a store that
// is damaged, of a newer version, or in use.
func Open(ctx context.Context, m *mesh.Mesh, opts *Options) (*Table, error) {
	t := newTable(m.ID(), opts)
	t.mesh, t.service = m, m.Service("chord")
	t.log = t.log.With("network", m.Network())
	t.links = &links{mesh: t.service, ctx: t.ctx, greet: t.introduce, links: map[peer.ID]*link{}}
	t.net = t.links
	err := ctx.Err()
	if err == nil {
		err = t.start()
	}
	if err != nil {
		t.Close()
		return nil, fmt.Errorf("chord: open: %w", err)
	}
	return t, nil
}

func newTable(id peer.ID, opts *Options) *Table {
	t := &Table{
		id: id, wake: make(chan struct{}, 1), met: make(chan struct{}), changeLog: home.NewChangeLog(rand.Uint64()), news: make(chan struct{}), shelf: memory{}, pace: firstPace,
		greeting: map[peer.ID]bool{}, doubted: map[peer.ID]bool{}, serving: map[peer.ID]int{}, members: map[peer.ID]bool{}, neighbour: map[peer.ID]error{}, keys: locks{held: map[string]*lock{}},
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	if opts != nil {
		t.opts = *opts
	}
	if t.opts.K == 0 {
		t.opts.K = defaultK
	}
	if t.opts.MaxBytes == 0 {
		t.opts.MaxBytes = defaultMaxBytes
	}
	if t.opts.files == nil {
		t.opts.files = vfs.Default
	}
	if t.log = t.opts.Logger; t.log == nil {
		t.log = slog.New(slog.DiscardHandler)
	}
	t.k = ring.Circle(t.opts.K)
	if 1 <= t.k && t.k <= MaxK {
		t.ring, t.store = ring.New(t.k, string(id)), home.NewStore(t.k, t.opts.MaxBytes)
	}
	return t
}

func (t *Table) start() error {
	if t.ring == nil {
		return fmt.Errorf("k=%d: it is from 1 to %d", t.opts.K, MaxK)
	}
	if t.opts.Dir != "" {
		d, err := openDisk(t.opts.Dir, t.opts.files, t.log, t.store, time.Now())
		if err != nil {
			return err
		}
		t.shelf = d
	}
	t.metrics = t.offer()
	if err := t.metrics.Register(t.opts.Registerer); err != nil {
		return err
	}
	t.serves = true
	t.service.SetStreamHandler(Protocol, t.serve)
	events := t.mesh.Events(t.ctx)
	for _, p := range t.mesh.Peers() {
		t.neighbourUp(p.ID)
	}
	t.wg.Go(func() { t.follow(events) })
	t.wg.Go(t.loop)
	return nil
}

// Close ends this peer's part in the table at once: what it stores, others have too, or
// it is on disk. To hand it over first, see Unjoin. Close may be called more than once.
func (t *Table) Close() error {
	t.mu.Lock()
	first := !t.closed
	t.closed = true
	t.mu.Unlock()
	if !first {
		t.wg.Wait()
		return nil
	}
	if t.serves {
		t.service.SetStreamHandler(Protocol, nil)
	}
	t.cancel()
	t.wg.Wait()
	if t.links != nil {
		t.links.wg.Wait()
	}
	if t.metrics != nil {
		t.metrics.Unregister(t.opts.Registerer)
	}
	t.events.Close()
	return t.shelf.close(time.Now())
}

// begin counts one more thing that Close waits for, unless it was called.
func (t *Table) begin() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.wg.Add(1)
	return true
}

// background runs f unless the table is closed.
func (t *Table) background(f func()) {
	if t.begin() {
		go func() {
			defer t.wg.Done()
			f()
		}()
	}
}

// follow keeps up with who is a neighbour.
func (t *Table) follow(events iter.Seq2[mesh.Event, error]) {
	for ev, err := range events {
		switch {
		case errors.Is(err, mesh.ErrLagged):
			t.background(func() { t.follow(t.mesh.Events(t.ctx)) })
			for _, p := range t.mesh.Peers() {
				t.neighbourUp(p.ID)
			}
			return
		case err != nil:
			return
		case ev.Kind == mesh.EventPeerUp:
			t.neighbourUp(ev.Peer)
		case ev.Kind == mesh.EventPeerDown:
			t.neighbourDown(ev.Peer)
		}
	}
}

// neighbourUp greets a neighbour: it may store, and know others.
func (t *Table) neighbourUp(p peer.ID) {
	t.mu.Lock()
	t.members[p] = true
	t.mu.Unlock()
	t.background(func() { t.greet(p) })
}

// neighbourDown makes sure whether somebody that is needed is gone.
func (t *Table) neighbourDown(p peer.ID) {
	t.mu.Lock()
	delete(t.members, p)
	delete(t.neighbour, p)
	known := t.ring.Knows(string(p))
	if known {
		t.doubted[p] = true
	}
	t.tell()
	t.mu.Unlock()
	if known {
		t.background(func() { t.greet(p) })
	}
}

// tell ends the waiting for news. The caller holds mu.
func (t *Table) tell() {
	close(t.met)
	t.met = make(chan struct{})
}

// stir has the loop look at the ring.
func (t *Table) stir() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// alone tells why there is no table for this peer: all its neighbours have refused. The
// caller holds mu.
func (t *Table) alone() (why error) {
	for _, err := range t.neighbour {
		if err == nil {
			return nil
		}
		why = err
	}
	return why
}

// AwaitPeers returns when this peer knows of one that stores, which may be itself. Errors:
// those of the mesh's AwaitNeighbour, a *RefusedError if all neighbours have refused,
// ErrNoPeers if all that are there have said hello and know of nobody, ErrClosed, or the
// context's.
func (t *Table) AwaitPeers(ctx context.Context) error {
	for {
		t.mu.Lock()
		met, why, known, greeted := t.met, t.alone(), len(t.ring.Known()) > 0, len(t.neighbour)
		t.mu.Unlock()
		if why != nil || known {
			return why
		}
		if err := t.mesh.AwaitNeighbour(ctx); err != nil {
			return err
		}
		if greeted > 0 && greeted >= len(t.mesh.Peers()) {
			return ErrNoPeers
		}
		select {
		case <-met:
		case <-t.ctx.Done():
			return ErrClosed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// serve answers the questions of one stream.
func (t *Table) serve(s network.Stream) {
	p := s.Conn().RemotePeer()
	if !t.begin() {
		s.Reset()
		return
	}
	defer t.wg.Done()
	t.mu.Lock()
	many := t.serving[p] >= maxStreams
	if !many {
		t.serving[p]++
	}
	t.mu.Unlock()
	if many {
		s.Reset()
		return
	}
	defer context.AfterFunc(t.ctx, func() { s.Reset() })()
	err := t.answer(p, s)
	s.Reset()
	if errors.Is(err, errForm) {
		t.service.ReportMisbehaviour(p, err)
	}
	t.log.Debug("stream ended", "peer", p, "err", err)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.serving[p]--; t.serving[p] == 0 {
		delete(t.serving, p)
	}
}

const maxStreams = 4 // of one neighbour's questions
