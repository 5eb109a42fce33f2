package sync

import (
	"context"
	"errors"
	"iter"
	"strings"
	"time"

	"github.com/p2p-today/go2p/sync/internal/replica"
)

// A ChangeKind says what happened to a key.
type ChangeKind string

// The kinds of changes.
const (
	Updated ChangeKind = "update" // the key has another value or owner, or was there when the watch began
	Deleted ChangeKind = "delete"
	Reset   ChangeKind = "reset" // changes were missed; all keys that are there follow
)

// A Change is what happened to a key.
type Change struct {
	Kind     ChangeKind
	Key      string
	Value    any       // update: the value now
	Old      any       // the value before; nil if there was none, or if the watch began with this change
	Owner    string    // update: the owner; delete: the last owner. Peer ID, or legacy:<subnet>/<id>
	Term     uint64    // update: of the lease
	Time     time.Time // update: when it was written, by the clock of its writer; delete: when this peer heard of it
	Revision Revision  // from which Watch goes on after this change
}

// Watch yields the keys that begin with a prefix, and from then on what changes. With a
// revision it yields what has changed since.
//
// A replica remembers 8192 changes or 16 MiB, until it is closed. If a revision or the loop is
// further behind than that, Watch yields a Reset and begins anew. The last error is the
// context's, or ErrClosed. Nothing follows after the loop was left.
func (d *Dict) Watch(ctx context.Context, prefix string, from Revision) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		w := &watcher{pipeline: d.pipeline, clock: d.clock, prefix: prefix, yield: yield}
		at, known := d.pipeline.changes.parse(from)
		var err error
		switch {
		case from == "":
			at, err = w.all()
		case !known:
			at, err = w.anew()
		}
		for err == nil {
			at, err = w.more(ctx, at)
		}
		if err != errLeft {
			yield(Change{}, err)
		}
	}
}

// errLeft says that the loop over a watch was left.
var errLeft = errors.New("left")

// A watcher is one loop over a watch, and used by that alone.
type watcher struct {
	pipeline *commitPipeline
	clock    clock
	prefix   string
	yield    func(Change, error) bool
}

// emit yields a change.
func (w *watcher) emit(c Change) error {
	if !w.yield(c, nil) {
		return errLeft
	}
	return nil
}

// anew says that changes were missed, and begins again.
func (w *watcher) anew() (at uint64, err error) {
	if err := w.emit(Change{Kind: Reset, Time: w.clock.wall()}); err != nil {
		return 0, err
	}
	return w.all()
}

// all yields what is there, and returns the revision of that. What changes meanwhile is left to
// more.
func (w *watcher) all() (at uint64, err error) {
	at = w.pipeline.revision()
	for e := range w.pipeline.entries(w.prefix) {
		if e.Revision > at {
			continue
		}
		c, err := w.decode(loggedChange{Change: replica.Change{Key: e.Key, New: e, Revision: at}})
		if err != nil {
			return at, err
		}
		if err := w.emit(c); err != nil {
			return at, err
		}
	}
	return at, nil
}

// more yields changes after a revision, and waits for them.
func (w *watcher) more(ctx context.Context, after uint64) (at uint64, err error) {
	changes, more, known, failed := w.pipeline.changesAfter(after)
	switch {
	case !known:
		return w.anew()
	case len(changes) == 0:
		if failed != nil {
			return after, failed
		}
		select {
		case <-more:
			return after, ctx.Err()
		case <-ctx.Done():
			return after, ctx.Err()
		}
	}
	for _, logged := range changes {
		if after = logged.Revision; !strings.HasPrefix(logged.Key, w.prefix) {
			continue
		}
		c, err := w.decode(logged)
		if err == nil {
			err = w.emit(c)
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return after, err
		}
	}
	return after, nil
}

// decode returns a change as users see it.
func (w *watcher) decode(n loggedChange) (c Change, err error) {
	c = Change{Kind: Deleted, Key: n.Key, Time: n.time, Revision: w.pipeline.changes.revision(n.Revision)}
	if n.Old != nil {
		c.Owner = n.Old.Owner
		if c.Old, err = n.Old.Decode(); err != nil {
			return c, err
		}
	}
	if e := n.New; e != nil {
		c.Kind, c.Owner, c.Term, c.Time = Updated, e.Owner, e.Term, time.UnixMilli(e.Time)
		c.Value, err = e.Decode()
	}
	return c, err
}
