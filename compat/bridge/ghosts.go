package bridge

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/p2p-today/go2p/compat"
)

const (
	ghostTime   = 10 * time.Minute // after the last message of an author, in which it gets replies
	maxGhosts   = 16
	connectTime = 2 * time.Second  // for the connections of a ghost, before the first message of its author goes out
	retryTime   = 10 * time.Second // until an old node is dialled again
)

// A ghostNode is the node of a ghost.
type ghostNode interface {
	Peers() []compat.Peer
	Dial(ctx context.Context, addr string) error // once
	Close() error
}

// An openGhost opens the node of a ghost, which gives receive each message that it hears.
type openGhost func(ctx context.Context, id string, receive func(compat.Message)) (ghostNode, error)

// A ghost is a node under the ID that an author from outside has in an old network, to which old nodes reply. It says
// nothing and passes nothing on.
type ghost struct {
	author string
	node   ghostNode
	heard  time.Time // when the author was heard last
}

// ghosts are the ghosts of one link. mu guards both maps and ghost.heard.
type ghosts struct {
	network  network
	peers    func() []compat.Peer // old nodes that the link is connected with
	open     openGhost
	counters *counters
	log      *slog.Logger

	mu       sync.Mutex
	byAuthor map[string]*ghost
	dialled  map[ghostDial]time.Time // the last time

	wg sync.WaitGroup
}

// A ghostDial is a ghost that dials an old node.
type ghostDial struct{ author, addr string }

func newGhosts(
	n network, peers func() []compat.Peer, open openGhost, c *counters, log *slog.Logger,
) *ghosts {
	return &ghosts{
		network: n, peers: peers, open: open, counters: c, log: log,
		byAuthor: map[string]*ghost{}, dialled: map[ghostDial]time.Time{},
	}
}

// len returns the number of ghosts.
func (gs *ghosts) len() int {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	return len(gs.byAuthor)
}

// ensure makes sure that old nodes can reply to an author: the author has a ghost, and receive gets each message that
// the ghost hears. For a new ghost, ensure waits until it is connected, for connectTime at most.
func (gs *ghosts) ensure(ctx context.Context, author string, receive func(author string, msg compat.Message)) {
	now := time.Now()
	known, room := gs.touch(now, author)
	switch {
	case known:
		return
	case !room:
		gs.counters.drop(DropAuthors)
		return
	}
	n, err := gs.open(ctx, gs.network.ghost(author), func(msg compat.Message) { receive(author, msg) })
	if err != nil {
		gs.log.Warn("no replies to an author", "author", author, "err", err)
		return
	}
	g := &ghost{author, n, now}
	gs.mu.Lock()
	gs.byAuthor[author] = g
	gs.mu.Unlock()
	gs.connect(ctx, g, connectTime)
}

// touch notes that an author was heard. It reports whether the author has a ghost, and if not, whether there is room
// for one. It makes room by closing the ghost whose author was silent for longest, if that is longer than ghostTime.
func (gs *ghosts) touch(now time.Time, author string) (known, room bool) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	if g := gs.byAuthor[author]; g != nil {
		g.heard = now
		return true, true
	}
	var idle *ghost
	for _, g := range gs.byAuthor {
		if now.Sub(g.heard) > ghostTime && (idle == nil || g.heard.Before(idle.heard)) {
			idle = g
		}
	}
	if idle != nil {
		delete(gs.byAuthor, idle.author)
		gs.wg.Go(func() { idle.node.Close() })
	}
	return false, len(gs.byAuthor) < maxGhosts
}

// tend keeps ghosts connected. It closes those of silent authors, and all if this bridge is not elected.
func (gs *ghosts) tend(ctx context.Context, elected bool) {
	now := time.Now()
	var keep, end []*ghost
	gs.mu.Lock()
	for author, g := range gs.byAuthor {
		if !elected || now.Sub(g.heard) > ghostTime {
			delete(gs.byAuthor, author)
			end = append(end, g)
		} else {
			keep = append(keep, g)
		}
	}
	for dial, at := range gs.dialled {
		if now.Sub(at) > retryTime {
			delete(gs.dialled, dial)
		}
	}
	gs.mu.Unlock()
	closeAll(end)
	for _, g := range keep {
		gs.connect(ctx, g, 0)
	}
}

// connect connects a ghost to all old nodes that listen and are connected with the link. It returns when that is done,
// or after the given time.
func (gs *ghosts) connect(ctx context.Context, g *ghost, wait time.Duration) {
	has := map[string]bool{}
	for _, p := range g.node.Peers() {
		has[p.ID] = true
	}
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	done := make(chan struct{})
	dials := 0
	for _, p := range gs.peers() {
		if has[p.ID] || p.Addr == "" || !gs.mayDial(ghostDial{g.author, p.Addr}) {
			continue
		}
		dials++
		gs.wg.Go(func() {
			if err := g.node.Dial(ctx, p.Addr); err != nil {
				gs.log.Info("no replies from an old node", "addr", p.Addr, "err", err)
			}
			select {
			case done <- struct{}{}:
			case <-waiting.Done():
			}
		})
	}
	for range dials {
		select {
		case <-done:
		case <-waiting.Done():
			return
		}
	}
}

// mayDial reports whether a ghost may dial an old node now, and notes that it does.
func (gs *ghosts) mayDial(d ghostDial) bool {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	if time.Since(gs.dialled[d]) < retryTime {
		return false
	}
	gs.dialled[d] = time.Now()
	return true
}

// close closes all ghosts. The loops that call ensure and tend have ended.
func (gs *ghosts) close() {
	gs.wg.Wait()
	gs.mu.Lock()
	defer gs.mu.Unlock()
	list := slices.Collect(maps.Values(gs.byAuthor))
	clear(gs.byAuthor)
	closeAll(list)
}

// closeAll closes ghosts at the same time, as closing one may take a second.
func closeAll(list []*ghost) {
	var wg sync.WaitGroup
	for _, g := range list {
		wg.Go(func() { g.node.Close() })
	}
	wg.Wait()
}
