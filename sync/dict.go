package sync

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/internal/lifecycle"
	"github.com/p2p-today/go2p/internal/metrics"
	"github.com/p2p-today/go2p/internal/notify"
	"github.com/p2p-today/go2p/mesh"
	"github.com/p2p-today/go2p/sync/internal/replica"
)

// A Dict is this peer's replica of the dictionary of its network. Its methods may be called
// concurrently. Open returns it, and it lives until Close.
//
// The parts own all state, each with a lock of its own: the pipeline the replica and its
// store, the syncer the schedule, the server the streams of neighbours.
type Dict struct {
	opts        Options
	service     *mesh.Service
	clock       clock
	life        *lifecycle.Group
	store       *store // nil without a directory
	events      eventFeed
	stats       stats
	metrics     *metrics.Set
	pipeline    *commitPipeline
	broadcaster broadcaster
	syncer      *syncer
	acks        *acknowledger
	server      *server
}

// Open makes this peer take part in the dictionary of a mesh's network; a mesh has one. It
// returns when what is stored is loaded; catching up with the neighbours goes on. The mesh
// remains the caller's, and must be closed after the dictionary.
//
// The context bounds the call alone. Errors: wrong options, or ErrStore for a store that is
// damaged, of a newer version, or in use.
func Open(ctx context.Context, m *mesh.Mesh, opts *Options) (*Dict, error) {
	d, err := open(ctx, m, opts)
	if err != nil {
		return nil, fmt.Errorf("sync: open: %w", err)
	}
	return d, nil
}

func open(ctx context.Context, m *mesh.Mesh, opts *Options) (*Dict, error) {
	d := &Dict{service: m.Service("sync"), life: lifecycle.New()}
	if opts != nil {
		d.opts = *opts
	}
	d.opts.setDefaults()
	if err := d.opts.check(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	log := d.opts.Logger.With("network", m.Network())
	self := m.ID().String()
	d.clock = clock{started: time.Now(), wall: func() time.Time { return d.opts.wallClock(self) }}
	r := replica.New(replica.Rules{Self: self, Leasing: !d.opts.NoLease, Lease: d.opts.Lease}, "", d.opts.MaxBytes)
	if d.opts.Dir != "" {
		var err error
		if d.store, err = openStore(d.opts.Dir, d.opts.files, log, r); err != nil {
			return nil, err
		}
		d.clock.before = d.store.rows.Count
	}
	d.connect(m, r, log)
	if err := d.start(r.Params()); err != nil {
		return nil, errors.Join(err, d.stop())
	}
	return d, nil
}

// connect makes the parts. No part knows the dictionary: connect gives them what they need of
// each other.
func (d *Dict) connect(m *mesh.Mesh, r *replica.Replica, log *slog.Logger) {
	v := verifier{service: d.service, stats: &d.stats, log: log}
	env := commitEnv{
		now: d.clock.now, sign: v.sign, emit: d.events.emit, log: log, life: d.life,
		ready:   func(ctx context.Context) error { return d.syncer.awaitFirst(ctx) },
		publish: func(messages [][]byte) { d.broadcaster.publish(d.life.Context(), messages) },
		changed: func() { d.syncer.changed() },
	}
	if d.store != nil {
		env.store = d.store.write
	}
	d.pipeline = newCommitPipeline(env, r)
	d.syncer = &syncer{
		mesh: m, verifier: v, pipeline: d.pipeline, clock: d.clock, stats: &d.stats, emit: d.events.emit,
		log: log, life: d.life, wake: notify.NewFlag(), schedule: newSchedule(d.clock.started),
	}
	d.broadcaster = broadcaster{verifier: v, pipeline: d.pipeline, missing: d.syncer.missing}
	d.acks = &acknowledger{syncer: d.syncer, pipeline: d.pipeline, life: d.life}
	d.server = &server{syncer: d.syncer, acks: d.acks, life: d.life, log: log, serving: map[peer.ID]int{}}
	d.metrics = newMetrics(m.Network(), &d.stats, d.pipeline.usage)
}

func (d *Dict) start(params replica.Params) error {
	if err := d.metrics.Register(d.opts.Registerer); err != nil {
		return err
	}
	if err := d.broadcaster.join(params, d.syncer.meet); err != nil {
		return err
	}
	d.service.SetStreamHandler(Protocol, d.server.serve)
	d.syncer.start()
	return nil
}

// Close ends the part of this peer in the dictionary. It waits for writes that have begun, and
// may be called more than once. The error is of the store.
func (d *Dict) Close() error {
	first := d.life.Seal()
	d.pipeline.queue.close()
	if !first {
		d.life.Wait()
		return nil
	}
	return d.stop()
}

// stop ends what open has begun.
func (d *Dict) stop() error {
	if d.broadcaster.topic != nil {
		d.service.SetStreamHandler(Protocol, nil)
		d.broadcaster.close()
	}
	d.metrics.Unregister(d.opts.Registerer)
	d.life.Close()
	err := d.pipeline.close()
	d.events.Close()
	if d.store != nil {
		err = errors.Join(err, d.store.Close())
	}
	return err
}

// Events yields what happens from the call on, until the context ends, the dictionary is closed
// or the loop is left. The last error is the context's, ErrClosed, or ErrLagged if the loop is
// more than 1024 events behind. The sequence can be ranged over once.
func (d *Dict) Events(ctx context.Context) iter.Seq2[Event, error] { return d.events.follow(ctx) }
