package chord

import (
	"context"
	"iter"
	"log/slog"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/chord/internal/home"
	"github.com/p2p-today/go2p/chord/internal/wire"
	"github.com/p2p-today/go2p/internal/value"
)

const (
	lookAgain = 5 * time.Second // between looks for peers that store and are not watched
	maxTold   = 1 << 16         // keys whose last version is remembered
)

// Watch yields what changes from now on among the keys that begin with a prefix. It yields each
// write once, though all replicas of a key tell of it; a write that was overwritten at once may
// be left out. A replica tells of a write as soon as it has it, so that for a moment Get may
// return an older version. The sequence ends with the context's error, or ErrClosed, or when the
// loop is left.
func (t *Table) Watch(ctx context.Context, prefix string) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		if !t.life.Begin() {
			yield(Change{}, ErrClosed)
			return
		}
		defer t.life.End()
		w := &watch{
			walker: t.walker, client: t.client, log: t.log, ended: t.life.Context().Done(), prefix: prefix,
			told: map[string]home.Version{}, news: make(chan *wire.Reply), lost: make(chan peer.ID), watched: map[peer.ID]bool{},
		}
		look := time.NewTicker(lookAgain)
		defer look.Stop()
		w.look(ctx)
		for {
			select {
			case a := <-w.news:
				if !w.tell(a, yield) {
					return
				}
			case p := <-w.lost:
				delete(w.watched, p)
			case <-look.C:
				w.look(ctx)
			case <-ctx.Done():
				yield(Change{}, ctx.Err())
				return
			case <-w.ended:
				yield(Change{}, ErrClosed)
				return
			}
		}
	}
}

// A watch follows the change logs of all nodes. It belongs to one goroutine; the goroutines that
// follow a node send it what they hear.
type watch struct {
	walker  *walker
	client  *client
	log     *slog.Logger
	ended   <-chan struct{} // the table is closed
	prefix  string
	told    map[string]home.Version
	news    chan *wire.Reply
	lost    chan peer.ID // are not followed any more
	watched map[peer.ID]bool
}

// look follows the nodes that are not followed yet.
func (w *watch) look(ctx context.Context) {
	nodes, err := w.walker.nodes(ctx)
	if err != nil {
		w.log.Debug("nobody to watch", "err", err)
	}
	for _, n := range nodes {
		p := peer.ID(n.Self.Peer)
		if !w.watched[p] {
			w.watched[p] = true
			w.client.life.Go(func() { w.follow(ctx, p) })
		}
	}
}

// follow asks one peer for its changes, over and over.
func (w *watch) follow(ctx context.Context, p peer.ID) {
	q := &wire.Question{Kind: wire.AskWatch, Selection: home.Selection{Prefix: w.prefix}}
	for {
		a, err := w.client.askLong(ctx, p, q)
		if err != nil || a.Kind != wire.SayChanges {
			w.log.Debug("not watched any more", "peer", p, "err", err)
			select {
			case w.lost <- p:
			case <-ctx.Done():
			case <-w.ended:
			}
			return
		}
		q.Run, q.Revision = a.Run, a.Revision
		select {
		case w.news <- a:
		case <-ctx.Done():
			return
		case <-w.ended:
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
