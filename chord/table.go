package chord

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/chord/internal/ring"
	"github.com/p2p-today/go2p/internal/fanout"
	"github.com/p2p-today/go2p/internal/keylock"
	"github.com/p2p-today/go2p/internal/lifecycle"
	"github.com/p2p-today/go2p/internal/metrics"
	"github.com/p2p-today/go2p/mesh"
)

// A Table is this peer's part in its network's table. At first it does not store; Join makes
// it store. Its methods may be called concurrently. It is made by Open and lives until Close.
//
// What a table does is in its parts, which know those before them in this list: node has
// the ring and what is stored here, client asks other nodes, walker finds nodes, coordinator
// reads and writes at the replicas of a key, joiner takes a slot, upkeep is the loop.
type Table struct {
	opts    Options
	service *mesh.Service
	log     *slog.Logger
	life    *lifecycle.Group
	events  fanout.Feed[Event]
	metrics *metrics.Set
	keys    keylock.Locks[string] // keep the order of this peer's own writes of a key

	node        *node
	client      *client
	walker      *walker
	coordinator *coordinator
	joiner      *joiner
	upkeep      *upkeep
}

// Open makes this peer take part in the one table of a mesh's network. The peer may read and
// write as soon as it knows of a peer that stores. The mesh stays the caller's, and must be
// closed after the table.
//
// The context bounds the call alone. Errors: wrong options, or ErrStore for a store that
// is damaged, of a newer version, or in use.
func Open(ctx context.Context, m *mesh.Mesh, opts *Options) (*Table, error) {
	t, err := open(ctx, m, opts)
	if err != nil {
		return nil, fmt.Errorf("chord: open: %w", err)
	}
	return t, nil
}

func open(ctx context.Context, m *mesh.Mesh, opts *Options) (*Table, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	t, err := newTable(m.ID(), m, opts)
	if err != nil {
		return nil, err
	}
	if err := t.openEngine(); err != nil {
		return nil, err
	}
	t.metrics = newMetrics(m.Network(), t.node, t.coordinator)
	if err := t.metrics.Register(t.opts.Registerer); err != nil {
		return nil, errors.Join(err, t.node.close())
	}
	t.service = m.Service("chord")
	t.client.transport = newStreams(t.service, t.client)
	t.service.SetStreamHandler(Protocol, newServer(t.node, t.service, t.life, t.log).serve)
	t.upkeep.begin(m)
	t.life.Go(t.upkeep.run)
	return t, nil
}

// newTable returns a table that has no transport yet, and stores in memory. The mesh may be
// nil.
func newTable(id peer.ID, m *mesh.Mesh, opts *Options) (*Table, error) {
	t := &Table{life: lifecycle.New()}
	if opts != nil {
		t.opts = *opts
	}
	t.opts.setDefaults()
	k := ring.Circle(t.opts.K)
	if k < 1 || k > MaxK {
		return nil, fmt.Errorf("k=%d: it is from 1 to %d", t.opts.K, MaxK)
	}
	t.log = t.opts.Logger
	if m != nil {
		t.log = t.log.With("network", m.Network())
	}
	emit := func(ev Event) {
		ev.Time = time.Now()
		t.events.Publish(ev)
	}
	neighbours := newNeighbours(m, k, t.log, emit)
	t.node = newNode(id, t.opts.MaxBytes, neighbours)
	t.client = newClient(t.node, t.life, t.log)
	t.walker = &walker{k: k, node: t.node, client: t.client}
	t.coordinator = &coordinator{node: t.node, client: t.client}
	transfer := &transfer{node: t.node, client: t.client, walker: t.walker, log: t.log, emit: emit}
	t.joiner = &joiner{node: t.node, client: t.client, walker: t.walker, transfer: transfer, log: t.log, emit: emit}
	t.upkeep = &upkeep{
		node: t.node, client: t.client, walker: t.walker, transfer: transfer, joiner: t.joiner, life: t.life,
	}
	return t, nil
}

func (o *Options) setDefaults() {
	if o.K == 0 {
		o.K = defaultK
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = defaultMaxBytes
	}
	if o.files == nil {
		o.files = vfs.Default
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// openEngine loads what is on disk, if there is a directory.
func (t *Table) openEngine() error {
	if t.opts.Dir == "" {
		return nil
	}
	d, err := openDisk(t.opts.Dir, t.opts.files, t.log, t.node.storage.store, time.Now())
	if err != nil {
		return err
	}
	t.node.storage.engine = d
	return nil
}

// Close ends this peer's part in the table at once. What it stores, its other replicas have
// too. To hand it off first, see Unjoin. Close may be called more than once.
func (t *Table) Close() error {
	if !t.life.Seal() {
		t.life.Wait()
		return nil
	}
	if t.service != nil {
		t.service.SetStreamHandler(Protocol, nil)
	}
	t.life.Close()
	if t.metrics != nil {
		t.metrics.Unregister(t.opts.Registerer)
	}
	t.events.Close()
	return t.node.close()
}

// Join makes this peer store: it takes a slot of the ring and then, in the background, fetches
// the keys that it is a replica of. If no peer stores yet it founds the ring. It is no error
// if the peer stores already. Without a deadline in the context Join takes at most 10 s.
//
// Errors: ErrRingFull if all slots are taken, a *RefusedError if all neighbours have
// another K, ErrNoMajority if the ring does not answer, ErrClosed, or the context's.
func (t *Table) Join(ctx context.Context) error {
	if err := t.joiner.join(ctx); err != nil {
		return fmt.Errorf("chord: join: %w", err)
	}
	return nil
}

// Unjoin hands off what this peer stores and gives up its slot. The peer may still read and
// write. Unjoin returns when all is handed off, and reports its progress as events. Errors:
// ErrNoPeers if no other peer stores (this one goes on storing then); ErrNoMajority if not all
// was taken before the context ended (the rest stays here until this peer joins again);
// ErrClosed.
func (t *Table) Unjoin(ctx context.Context) error {
	if err := t.joiner.unjoin(ctx); err != nil {
		return fmt.Errorf("chord: unjoin: %w", err)
	}
	return nil
}

// AwaitPeers returns when this peer knows of one that stores, which may be itself. Errors:
// those of mesh.Mesh.AwaitNeighbour, a *RefusedError if all neighbours have another K,
// ErrNoPeers if all neighbours have answered and know of no peer that stores, ErrClosed, or
// the context's.
func (t *Table) AwaitPeers(ctx context.Context) error { return t.joiner.awaitPeers(ctx) }
