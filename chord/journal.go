package chord

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/internal/value"

	"github.com/p2p-today/go2p/chord/internal/home"
	"github.com/p2p-today/go2p/chord/internal/wire"
)

const watchTime = 20 * time.Second // how long a question for changes waits for one

// changes answers who watches, when there is something.
func (t *Table) changes(ctx context.Context, q *wire.Question) *wire.Reply {
	end := time.After(watchTime)
	for {
		t.mu.Lock()
		c := t.changeLog.Since(q.Run, q.Revision, q.Selection.Prefix)
		news := t.news
		t.mu.Unlock()
		a := &wire.Reply{Kind: wire.SayChanges, Run: c.Run, Revision: c.Revision, Missed: c.Missed, Entries: c.Entries}
		if len(c.Entries) > 0 || c.Missed || q.Run != c.Run {
			return a
		}
		select {
		case <-news:
		case <-end:
			return a
		case <-ctx.Done():
			return &wire.Reply{Kind: wire.SayFailed, Text: "closing"}
		}
	}
}

// A ChangeKind says what became of a key.
type ChangeKind string

// The kinds of changes.
const (
	Added   ChangeKind = "add" // it has a value, for the first time or another one
	Deleted ChangeKind = "delete"
	Missed  ChangeKind = "missed" // so much has changed that some of it is not told
)

// A Change is what became of a key.
type Change struct {
	Kind    ChangeKind
	Key     string
	Value   any       // add
	Writer  string    // peer ID, as the writer says itself
	Version uint64    // raised with each write
	Time    time.Time // when this peer heard of it
}

const (
	lookAgain = 5 * time.Second // between looks for peers that store and are not watched
	maxTold   = 1 << 16         // keys whose last version is remembered
)

// Watch yields what changes from now on among the keys that begin with a prefix: each
// write once, though all homes of a key tell of it; one that was overwritten at once may
// be left out. A home tells of a write as soon as it has it, so that Get may not see it for
// a moment: an Item of a lower version is what was before. It ends with the context's error, or ErrClosed, or when the loop is left.
func (t *Table) Watch(ctx context.Context, prefix string) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		if !t.begin() {
			yield(Change{}, ErrClosed)
			return
		}
		defer t.wg.Done()
		w := &watch{t: t, prefix: prefix, told: map[string]home.Version{}, news: make(chan *wire.Reply), ended: make(chan peer.ID), watched: map[peer.ID]bool{}}
		look := time.NewTicker(lookAgain)
		defer look.Stop()
		w.look(ctx)
		for {
			select {
			case a := <-w.news:
				if !w.tell(a, yield) {
					return
				}
			case p := <-w.ended:
				delete(w.watched, p)
			case <-look.C:
				w.look(ctx)
			case <-ctx.Done():
				yield(Change{}, ctx.Err())
				return
			case <-t.ctx.Done():
				yield(Change{}, ErrClosed)
				return
			}
		}
	}
}

// A watch follows the journals of all who store.
type watch struct {
	t       *Table
	prefix  string
	told    map[string]home.Version
	news    chan *wire.Reply
	ended   chan peer.ID
	watched map[peer.ID]bool
}

// look follows those who are not followed yet.
func (w *watch) look(ctx context.Context) {
	nodes, err := w.t.nodes(ctx)
	if err != nil {
		w.t.log.Debug("nobody to watch", "err", err)
	}
	for _, n := range nodes {
		p := peer.ID(n.View.Self.Peer)
		if !w.watched[p] {
			w.watched[p] = true
			w.t.background(func() { w.follow(ctx, p) })
		}
	}
}

// follow asks one peer for its changes, over and over.
func (w *watch) follow(ctx context.Context, p peer.ID) {
	q := &wire.Question{Kind: wire.AskWatch, Selection: home.Selection{Prefix: w.prefix}}
	for {
		a, err := w.t.askLong(ctx, p, q)
		if err != nil || a.Kind != wire.SayChanges {
			w.t.log.Debug("not watched any more", "peer", p, "err", err)
			select {
			case w.ended <- p:
			case <-ctx.Done():
			case <-w.t.ctx.Done():
			}
			return
		}
		q.Run, q.Revision = a.Run, a.Revision
		select {
		case w.news <- a:
		case <-ctx.Done():
			return
		case <-w.t.ctx.Done():
			return
		}
	}
}

// tell yields what was not told yet.
func (w *watch) tell(a *wire.Reply, yield func(Change, error) bool) bool {
	if a.Missed && !yield(Change{Kind: Missed, Time: time.Now()}, nil) {
		return false
	}
	for _, e := range a.Entries {
		if e.Write.Compare(w.told[e.Key]) <= 0 {
			continue
		}
		if len(w.told) >= maxTold {
			clear(w.told)
		}
		w.told[e.Key] = e.Write.Version
		c := Change{Kind: Deleted, Key: e.Key, Writer: writerText(e.Write.Writer), Version: e.Write.Counter, Time: time.Now()}
		if !e.Write.Deleted {
			var err error
			c.Kind = Added
			if c.Value, err = value.Decode([]byte(e.Value)); err != nil || home.Hash(e.Value) != e.Write.Hash {
				continue
			}
		}
		if !yield(c, nil) {
			return false
		}
	}
	return true
}

// askLong asks a question that may wait for its answer for long.
func (t *Table) askLong(ctx context.Context, p peer.ID, q *wire.Question) (*wire.Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, watchTime+askTime)
	defer cancel()
	if p == t.id {
		_, wait, err := t.handle(p, q)
		if err != nil {
			return nil, err
		}
		return wait(ctx), nil
	}
	a, err := t.net.ask(ctx, p, q)
	if err != nil && errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("%w: it does not answer", err)
	}
	return a, err
}
