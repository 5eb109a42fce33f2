package sync

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/internal/fanout"
	"github.com/p2p-today/go2p/internal/metrics"
	"github.com/p2p-today/go2p/mesh"
	"github.com/p2p-today/go2p/sync/internal/replica"
	"github.com/p2p-today/go2p/sync/internal/schedule"
)

// ErrClosed says that the dictionary was closed.
var ErrClosed = errors.New("dictionary is closed")

// A Dict is this peer's replica of its network's dictionary. Its methods may be called
// concurrently. It is made by Open and lives until Close.
type Dict struct {
	mesh    *mesh.Mesh
	service *mesh.Service // of that mesh
	opts    Options
	log     *slog.Logger
	rules   replica.Rules
	topic   *mesh.Topic
	events  fanout.Feed[Event]
	stats   stats
	metrics *metrics.Set

	started time.Time     // of this run
	before  time.Duration // that the replica had run when it began
	settled atomic.Bool   // writes need not wait for the first catch-up

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.RWMutex
	replica *replica.Replica
	store   *store // nil without a directory
	journal journal
	failed  error         // why nothing changes any more
	full    bool          // there was no room for something, and nothing has shown since that there is
	heard   chan struct{} // closed, and replaced, when the seen set has grown
	named   bool          // nobody else can have the writer's name
	first   uint64        // number of the first write of this run under it
	renamed time.Time     // when it was last changed since somebody has
	pause   time.Duration // until it may be again

	queueMu    sync.Mutex
	closed     bool
	queue      []*write
	queued     int           // bytes
	room       chan struct{} // closed, and replaced, when a round is over
	committing bool

	levelMu sync.Mutex
	levels  *schedule.Schedule
	met     chan struct{} // closed, and replaced, when there is news of a neighbour
	serving map[peer.ID]int
	wake    chan struct{} // the loop looks at levels again
}

// Open makes this peer take part in the dictionary of a mesh's network; there is one.
// It returns when what is stored is loaded; catching up with the neighbours goes on
// behind it. The mesh stays the caller's, and must be closed after the dictionary.
//
// The context bounds the call alone. Errors: wrong options, or ErrStore for a store
// that is damaged, of a newer version, or in use.
func Open(ctx context.Context, m *mesh.Mesh, opts *Options) (*Dict, error) {
	d, err := newDict(m, opts)
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = d.load()
	}
	if err == nil {
		err = d.start()
	}
	if err != nil {
		d.stop()
		return nil, fmt.Errorf("sync: open: %w", err)
	}
	return d, nil
}

func newDict(m *mesh.Mesh, opts *Options) (*Dict, error) {
	d := &Dict{
		mesh: m, service: m.Service("sync"), started: time.Now(), heard: make(chan struct{}), room: make(chan struct{}), met: make(chan struct{}),
		serving: map[peer.ID]int{}, wake: make(chan struct{}, 1), journal: newJournal(),
	}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	if opts != nil {
		d.opts = *opts
	}
	if d.opts.Lease == 0 {
		d.opts.Lease = defaultLease
	}
	if d.opts.MaxBytes == 0 {
		d.opts.MaxBytes = defaultMaxBytes
	}
	if d.opts.files == nil {
		d.opts.files = vfs.Default
	}
	d.log = d.opts.Logger
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	d.log = d.log.With("network", m.Network())
	if d.opts.Lease < MinLease || d.opts.Lease > MaxLease || d.opts.Lease%time.Millisecond != 0 {
		return d, fmt.Errorf("a lease of %v: it is from %v to %v, in milliseconds", d.opts.Lease, MinLease, MaxLease)
	}
	d.rules = replica.Rules{Self: m.ID().String(), Leasing: !d.opts.NoLease, Lease: d.opts.Lease}
	d.levels = schedule.New(d.started, mathrand.New(mathrand.NewPCG(mathrand.Uint64(), mathrand.Uint64())))
	return d, nil
}

// load reads what is stored.
func (d *Dict) load() (err error) {
	d.replica = replica.New(d.rules, "", d.opts.MaxBytes)
	if d.opts.Dir != "" {
		if d.store, err = openStore(d.opts.Dir, d.opts.files, d.log); err != nil {
			return err
		}
		if err := d.store.load(d.replica); err != nil {
			return err
		}
		d.before = d.store.rows.Count
	}
	if d.store != nil && d.store.rows.Incarnation != 0 {
		d.replica.Writer = writerName(d.rules.Self, d.store.rows.Incarnation)
	} else {
		d.replica.Writer, d.named = d.newName(), true
	}
	d.first = d.replica.Next(d.replica.Writer)
	return nil
}

// newName is a name for the writer that no one has used. The caller holds mu.
func (d *Dict) newName() string {
	var random [8]byte
	rand.Read(random[:])
	incarnation := binary.BigEndian.Uint64(random[:])>>16 | 1
	if d.store != nil {
		d.store.rows.Incarnation = incarnation
	}
	return writerName(d.rules.Self, incarnation)
}

// writerName names an incarnation of a peer.
func writerName(id string, incarnation uint64) string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], incarnation)
	return id + "/" + hex.EncodeToString(b[2:])
}

func (d *Dict) start() (err error) {
	d.metrics = d.offer()
	if err := d.metrics.Register(d.opts.Registerer); err != nil {
		return err
	}
	d.topic, err = d.service.JoinTopic(d.rules.Params().Topic(), d.judge, d.meet)
	if err != nil {
		return err
	}
	d.service.SetStreamHandler(Protocol, d.serve)
	events := d.mesh.Events(d.ctx)
	for _, p := range d.mesh.Peers() {
		d.meet(p.ID)
	}
	d.wg.Go(func() { d.follow(events) })
	d.wg.Go(d.catchUp)
	return nil
}

// Close ends this peer's part in the dictionary, which other members keep. It waits for
// writes that were begun, and may be called more than once.
func (d *Dict) Close() error {
	d.queueMu.Lock()
	first := !d.closed
	d.closed = true
	for d.committing {
		d.awaitRoom(context.Background())
	}
	d.queueMu.Unlock()
	if !first {
		d.wg.Wait()
		return nil
	}
	return d.stop()
}

// stop ends what Open began.
func (d *Dict) stop() error {
	if d.topic != nil {
		d.service.SetStreamHandler(Protocol, nil)
		d.topic.Close()
	}
	if d.metrics != nil {
		d.metrics.Unregister(d.opts.Registerer)
	}
	d.cancel()
	d.wg.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failed = ErrClosed
	d.events.Close()
	d.journal.wake()
	if d.store == nil {
		return nil
	}
	var err error
	if d.replica.Writer != "" { // it was loaded
		err = d.store.write(replica.Effects{}, d.now().Count, false)
	}
	return errors.Join(err, d.store.close())
}

// begin counts one more thing that Close waits for, unless it was called.
func (d *Dict) begin() bool {
	d.queueMu.Lock()
	defer d.queueMu.Unlock()
	if d.closed {
		return false
	}
	d.wg.Add(1)
	return true
}

// now is this moment by both clocks.
func (d *Dict) now() replica.Instant {
	return replica.Instant{Count: d.before + time.Since(d.started), Wall: wall(d.rules.Self)}
}

// wall is a peer's clock, which a lease is only ever shortened by. Tests put it out.
var wall = func(string) time.Time { return time.Now() }

// took does what follows from effects that are in the store. The caller holds mu.
func (d *Dict) took(now replica.Instant, out replica.Effects) {
	if len(out.Writers) > 0 {
		close(d.heard)
		d.heard = make(chan struct{})
	}
	if len(out.Changes) > 0 {
		d.journal.add(now.Wall, out.Changes)
		d.levelMu.Lock()
		if d.levels.Changed(time.Now()) {
			d.wakeLoop()
		}
		d.levelMu.Unlock()
	}
	for _, c := range out.Lost {
		d.log.Info("a key of this peer's is another's, or gone", "key", c.Old.Key, "owner", ownerOf(c.New))
		d.happen(Event{Kind: EventLost, Key: c.Old.Key, Owner: ownerOf(c.New), For: d.rules.Remaining(now, c.Old)})
	}
	if len(out.Buried) > 0 {
		d.rewrite(func(r *replica.Replica) (ops []replica.Op) {
			for _, old := range out.Buried {
				if r.Get(old.Key) == nil {
					ops = append(ops, replica.Op{Key: old.Key, Value: old.Value})
				}
			}
			out.Buried = nil
			return ops
		})
	}
	for _, c := range out.Taken {
		d.log.Info("a lease that still runs here was taken", "key", c.Old.Key, "from", c.Old.Owner, "owner", ownerOf(c.New))
		d.happen(Event{Kind: EventTaken, Key: c.Old.Key, Owner: ownerOf(c.New), From: c.Old.Owner, For: d.rules.Remaining(now, c.Old)})
	}
	if out.Full && !d.full {
		d.full = true
		d.log.Warn("not level", "err", ErrFull)
		d.happen(Event{Kind: EventFull, Err: ErrFull})
	}
	if out.Clash {
		d.clash(now)
	}
}

func ownerOf(e *replica.Entry) string {
	if e == nil {
		return ""
	}
	return e.Owner
}

// clash takes another name as a writer, since another copy of this peer has used the
// numbers of this one, and writes again what was written under them in this run. The
// caller holds mu.
func (d *Dict) clash(now replica.Instant) {
	if !d.renamed.IsZero() && time.Since(d.renamed) < d.pause {
		return
	}
	d.renamed, d.pause = time.Now(), min(max(firstClash, 2*d.pause), lastClash)
	d.log.Warn("another copy of this peer has written", "writer", d.replica.Writer, "err", ErrIdentityClash)
	d.happen(Event{Kind: EventClash, Err: ErrIdentityClash})
	out, err := d.replica.Rename(now, d.newName(), d.first)
	d.named, d.first = true, 1
	var messages [][]byte
	if err == nil {
		messages, err = d.replica.Seal(now, out.Written, rand.Reader, d.sign)
	}
	if err == nil {
		err = d.keep(now, out)
	}
	if err != nil {
		d.log.Error("cannot write again what is owned here", "err", err)
	} else if d.begin() {
		go func() {
			defer d.wg.Done()
			d.publish(messages)
		}()
	}
}

// The pause between two new names, which doubles: a member that cheats could cause them.
const (
	firstClash = 10 * time.Second
	lastClash  = time.Hour
)

// rewrite writes what f says, until that is nothing.
func (d *Dict) rewrite(f func(*replica.Replica) []replica.Op) {
	if !d.begin() {
		return
	}
	go func() {
		defer d.wg.Done()
		for more := true; more; {
			w := &write{Update: replica.Update{Build: func(r *replica.Replica) ([]replica.Op, error) {
				ops := f(r)
				more = len(ops) > 0
				return ops, nil
			}}}
			if err := d.submit(d.ctx, w); err != nil {
				d.log.Warn("cannot write again what is owned here", "err", err)
				return
			}
		}
	}()
}
