package sync

import (
	"cmp"
	"context"
	"crypto/rand"
	"log/slog"
	"sync"
	"time"

	"github.com/p2p-today/go2p/internal/lifecycle"
	"github.com/p2p-today/go2p/internal/notify"
	"github.com/p2p-today/go2p/sync/internal/replica"
)

// A commitEnv is what a commit pipeline needs of its surroundings.
type commitEnv struct {
	now     func() replica.Instant
	ready   func(context.Context) error // waits until this replica knows which keys are its own
	sign    func(body []byte) ([]byte, error)
	publish func(messages [][]byte) // is called without the lock of the pipeline
	changed func()                  // is called after changes of the replica
	emit    func(Event)
	log     *slog.Logger
	life    *lifecycle.Group // of what the pipeline starts

	// store puts effects into the store, and wait returns when they are as durable as they
	// should be. It is nil if the dictionary is in memory.
	store func(out replica.Effects, count time.Duration, how durability) (wait func() error, err error)
}

// A commitPipeline owns the replica, its identity and its change log. All that changes
// the replica is applied in one place, whether it was written here, received, or follows
// from an identity clash: it is sealed, stored, logged, and reported, in this order.
//
// The lock guards all of that. It is not held while the disk is waited for, nor while
// batches are published: pubsub waits for those who validate, who wait for the lock.
type commitPipeline struct {
	env   commitEnv
	queue writeQueue

	mu       sync.RWMutex
	replica  *replica.Replica
	identity identity
	changes  changeLog
	failed   error            // why nothing changes any more
	full     bool             // there was no room for something, and nothing has shown since that there is
	seen     notify.Broadcast // the seen set has grown
}

func newCommitPipeline(env commitEnv, r *replica.Replica) *commitPipeline {
	p := &commitPipeline{env: env, replica: r, changes: newChangeLog()}
	p.queue.commit = p.commit
	if r.Writer == "" {
		r.Writer = p.identity.newName(r.Self)
	}
	p.identity.first = r.Next(r.Writer)
	return p
}

// submit has a write decided and, if it is allowed, made durable. Writes that wait
// together are made durable together, under as few signatures as can be.
func (p *commitPipeline) submit(ctx context.Context, w *write) error {
	if err := p.env.ready(ctx); err != nil {
		return err
	}
	return p.queue.submit(ctx, w)
}

// commit decides writes, stores them together and publishes them.
func (p *commitPipeline) commit(writes []*write) {
	updates := make([]*replica.Update, len(writes))
	for i, w := range writes {
		updates[i] = &w.Update
	}
	rest, err := p.decide(updates)
	if err == nil {
		err = rest.wait()
	}
	if err != nil {
		p.fail(err)
		for _, w := range writes {
			w.Err = cmp.Or(w.Err, err)
		}
		return
	}
	p.env.publish(rest.messages)
}

// decide lets the updates that are allowed take effect.
func (p *commitPipeline) decide(updates []*replica.Update) (rest unfinished, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed != nil {
		return rest, p.failed
	}
	if !p.identity.confirmed { // it was not compared with others in this run: perhaps it came from a backup
		p.replica.Writer = p.identity.newName(p.replica.Self)
	}
	now := p.env.now()
	out := p.replica.Write(now, updates...)
	if len(out.Written) == 0 {
		return unfinished{wait: stored}, nil
	}
	return p.apply(now, out, durable)
}

// receive takes a batch of another member, which was verified. It reports whether there is
// news in it, and whether events before it are missing.
func (p *commitPipeline) receive(b *replica.Batch) (news, missing bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed != nil {
		return false, false, p.failed
	}
	now := p.env.now()
	out := p.replica.Receive(now, b.Records())
	if _, err := p.apply(now, out, buffered); err != nil {
		return false, false, err
	}
	return len(out.Writers) > 0 || out.Missing, out.Missing, nil
}

// reconcile takes a message of a reconciliation. If the other replica asks for one that
// differs from this, busy says whether it is to come back later.
func (p *commitPipeline) reconcile(
	rec *replica.Reconciliation, m replica.Message, busy func() bool,
) (next replica.Step, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed != nil {
		return next, p.failed
	}
	if m.Root != nil && busy() && !rec.Equals(m) {
		return next, errBusy
	}
	now := p.env.now()
	next, err = rec.Receive(now, m)
	p.identity.confirmed = p.identity.confirmed || next.Done && err == nil
	if _, failed := p.apply(now, next.Effects, buffered); failed != nil {
		err = failed
	}
	return next, err
}

// flush returns when all that is here is on disk, if there is one.
func (p *commitPipeline) flush() error {
	p.mu.Lock()
	if p.failed != nil {
		defer p.mu.Unlock()
		return p.failed
	}
	rest, err := p.apply(p.env.now(), replica.Effects{}, durable)
	p.mu.Unlock()
	if err != nil {
		return err
	}
	return rest.wait()
}

// An unfinished commit is what is left to do of it without the lock.
type unfinished struct {
	wait     func() error // until it is as durable as it should be
	messages [][]byte     // to be published then
}

func stored() error { return nil }

// apply seals, stores, logs and reports effects, in this order. It is the one way from the
// replica to the disk. The caller holds the lock.
func (p *commitPipeline) apply(now replica.Instant, out replica.Effects, how durability) (rest unfinished, err error) {
	rest.wait = stored
	rest.messages, err = p.replica.Seal(now, out.Written, rand.Reader, p.env.sign)
	if err == nil && p.env.store != nil && (how == durable || len(out.Changes) > 0 || len(out.Writers) > 0) {
		rest.wait, err = p.env.store(out, now.Count, how)
	}
	if err != nil {
		p.failLocked(err)
		return rest, err
	}
	p.applied(now, out)
	return rest, nil
}

// applied reports effects that are stored. The caller holds the lock.
func (p *commitPipeline) applied(now replica.Instant, out replica.Effects) {
	if len(out.Writers) > 0 {
		p.seen.Notify()
	}
	if len(out.Changes) > 0 {
		p.changes.add(now.Wall, out.Changes)
		p.env.changed()
	}
	for _, c := range out.Lost {
		p.env.log.Info("a key of this peer's is another's, or gone", "key", c.Old.Key, "owner", ownerOf(c.New))
		p.env.emit(Event{Kind: EventLost, Key: c.Old.Key, Owner: ownerOf(c.New), For: p.replica.Remaining(now, c.Old)})
	}
	if len(out.Pruned) > 0 {
		p.writeAgain(out.Pruned)
	}
	for _, c := range out.Taken {
		old, owner := c.Old, ownerOf(c.New)
		p.env.log.Info("a lease that still runs here was taken", "key", old.Key, "from", old.Owner, "owner", owner)
		left := p.replica.Remaining(now, old)
		p.env.emit(Event{Kind: EventTaken, Key: old.Key, Owner: owner, From: old.Owner, For: left})
	}
	if out.Full && !p.full {
		p.full = true
		p.env.log.Warn("not in sync", "err", ErrFull)
		p.env.emit(Event{Kind: EventFull, Err: ErrFull})
	}
	if out.IdentityClash {
		p.resolveClash(now)
	}
}

func ownerOf(e *replica.Entry) string {
	if e == nil {
		return ""
	}
	return e.Owner
}

// resolveClash gives the writer another name, since another copy of this peer has used
// its numbers, and writes again what was written under them in this run. The caller holds
// the lock.
func (p *commitPipeline) resolveClash(now replica.Instant) {
	if !p.identity.clash(now.Count) {
		return
	}
	p.env.log.Warn("another copy of this peer has written", "writer", p.replica.Writer, "err", ErrIdentityClash)
	p.env.emit(Event{Kind: EventClash, Err: ErrIdentityClash})
	first := p.identity.first
	out, err := p.replica.Rename(now, p.identity.newName(p.replica.Self), first)
	var rest unfinished
	if err == nil {
		rest, err = p.apply(now, out, buffered)
	}
	if err != nil {
		p.env.log.Error("cannot write again what is owned here", "err", err)
		return
	}
	p.env.life.Go(func() { p.env.publish(rest.messages) })
}

// writeAgain writes records of this peer that another replica took for dead, unless their
// keys have other values by then.
func (p *commitPipeline) writeAgain(dead []*replica.Entry) {
	w := &write{Update: replica.Update{Build: func(r *replica.Replica) (ops []replica.Op, err error) {
		for _, old := range dead {
			if r.Get(old.Key) == nil {
				ops = append(ops, replica.Op{Key: old.Key, Value: old.Value})
			}
		}
		return ops, nil
	}}}
	p.env.life.Go(func() {
		if err := p.submit(p.env.life.Context(), w); err != nil {
			p.env.log.Warn("cannot write again what is owned here", "err", err)
		}
	})
}

// hasRoom notes that this replica has all that another one has.
func (p *commitPipeline) hasRoom() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.full = false
}

// fail ends writing, after the store did not take what it was given.
func (p *commitPipeline) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failLocked(err)
}

func (p *commitPipeline) failLocked(err error) {
	if p.failed == nil {
		p.failed = err
		p.env.log.Error("nothing can be written any more", "err", err)
	}
}

// close ends all writing, after what was submitted, and everyone who waits for changes.
func (p *commitPipeline) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	rest, err := p.apply(p.env.now(), replica.Effects{}, durable)
	p.failed = ErrClosed
	p.changes.more.Notify()
	if err != nil {
		return err
	}
	return rest.wait()
}
