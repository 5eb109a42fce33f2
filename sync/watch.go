package sync

import (
	"context"
	"errors"
	"iter"
	mathrand "math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/p2p-today/go2p/sync/internal/replica"
)

// A ChangeKind says what became of a key.
type ChangeKind string

// The kinds of changes.
const (
	Updated ChangeKind = "update" // it has another value, or owner, or was there when the watch began
	Deleted ChangeKind = "delete"
	Reset   ChangeKind = "reset" // changes were missed: what is there follows anew, and nothing else is
)

// A Change is what became of a key.
type Change struct {
	Kind     ChangeKind
	Key      string
	Value    any       // update: the value now
	Old      any       // the value before; nil if there was none, or the change is what the watch began with
	Owner    string    // update: who has the key; delete: who had it. Peer ID, or legacy:<subnet>/<id>
	Term     uint64    // update: of the lease
	Time     time.Time // update: when it was written, by its author's clock; delete: when this peer heard of it
	Revision Revision  // to go on from here
}

// A Revision is a point in the changes of one replica in one run: what Watch goes on
// from. "" is before all of them.
type Revision string

// Limits of the changes that are remembered for those who go on from a revision.
const (
	maxJournal      = 8192
	maxJournalBytes = 16 << 20
)

// A journal has the last changes.
type journal struct {
	run     uint64
	changes []noted // from cut on
	cut     int
	bytes   int
	lost    uint64        // revision of the last change that is remembered no more
	last    uint64        // revision of the last change
	news    chan struct{} // closed, and replaced, when there are more
}

// noted is a change and when it was heard of.
type noted struct {
	replica.Change
	time time.Time
}

func newJournal() journal { return journal{run: mathrand.Uint64(), news: make(chan struct{})} }

func (j *journal) add(now time.Time, changes []replica.Change) {
	for _, c := range changes {
		j.changes = append(j.changes, noted{c, now})
		j.bytes += c.Bytes()
		j.last = c.Revision
	}
	for len(j.changes)-j.cut > maxJournal || j.bytes > maxJournalBytes {
		j.bytes -= j.changes[j.cut].Bytes()
		j.lost = j.changes[j.cut].Revision
		j.changes[j.cut] = noted{}
		j.cut++
	}
	if j.cut > maxJournal { // seldom
		j.changes = slices.Delete(j.changes, 0, j.cut)
		j.cut = 0
	}
	j.wake()
}

func (j *journal) wake() {
	close(j.news)
	j.news = make(chan struct{})
}

// since returns the changes after a revision; false if some are remembered no more.
func (j *journal) since(n uint64) ([]noted, bool) {
	if n < j.lost || n > j.last {
		return nil, false
	}
	return j.changes[len(j.changes)-int(j.last-n):], true
}

func (j *journal) revision(n uint64) Revision {
	return Revision(strconv.FormatUint(j.run, 36) + "-" + strconv.FormatUint(n, 10))
}

// parse reads a revision of this run; false for one of another.
func (j *journal) parse(r Revision) (n uint64, ok bool) {
	run, number, _ := strings.Cut(string(r), "-")
	n, err := strconv.ParseUint(number, 10, 64)
	return n, err == nil && run == strconv.FormatUint(j.run, 36)
}

const watchChunk = 256 // keys or changes under one lock

// Watch yields what there is of the keys that begin with a prefix, and from then on what
// changes. With a revision it yields what has changed since; if that is not remembered
// any more (8192 changes or 16 MiB are, until the end of the run), and likewise if the
// loop lags further behind than that, it yields a Reset and begins anew. It ends with
// the context's error, or ErrClosed, or when the loop is left.
func (d *Dict) Watch(ctx context.Context, prefix string, from Revision) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		w := &watcher{d: d, prefix: prefix, yield: yield}
		d.mu.RLock()
		at, known := d.journal.parse(from)
		d.mu.RUnlock()
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

type watcher struct {
	d      *Dict
	prefix string
	yield  func(Change, error) bool
}

// tell yields a change.
func (w *watcher) tell(c Change) error {
	if !w.yield(c, nil) {
		return errLeft
	}
	return nil
}

// anew says that changes were missed, and begins again.
func (w *watcher) anew() (at uint64, err error) {
	if err := w.tell(Change{Kind: Reset, Time: wall(w.d.rules.Self)}); err != nil {
		return 0, err
	}
	return w.all()
}

// all yields what there is, and returns the revision that it is of. What changes
// meanwhile is left to more.
func (w *watcher) all() (at uint64, err error) {
	w.d.mu.RLock()
	at = w.d.journal.last
	w.d.mu.RUnlock()
	for e := range w.d.entries(w.prefix) {
		if e.Revision > at {
			continue
		}
		c, err := w.d.changed(noted{replica.Change{Key: e.Key, New: e, Revision: at}, time.Time{}})
		if err != nil {
			return at, err
		}
		if err := w.tell(c); err != nil {
			return at, err
		}
	}
	return at, nil
}

// more yields changes after a revision, and waits for them.
func (w *watcher) more(ctx context.Context, after uint64) (at uint64, err error) {
	d := w.d
	d.mu.RLock()
	news, failed := d.journal.news, d.failed
	changes, known := d.journal.since(after)
	if len(changes) > watchChunk {
		changes = changes[:watchChunk]
	}
	d.mu.RUnlock()
	switch {
	case !known:
		return w.anew()
	case len(changes) == 0:
		if failed != nil {
			return after, failed
		}
		select {
		case <-news:
			return after, ctx.Err()
		case <-ctx.Done():
			return after, ctx.Err()
		}
	}
	for _, c := range changes {
		if after = c.Revision; !strings.HasPrefix(c.Key, w.prefix) {
			continue
		}
		told, err := d.changed(c)
		if err == nil {
			err = w.tell(told)
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

// changed is a change as it is told.
func (d *Dict) changed(n noted) (c Change, err error) {
	c = Change{Kind: Deleted, Key: n.Key, Time: n.time, Revision: d.journal.revision(n.Revision)}
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
