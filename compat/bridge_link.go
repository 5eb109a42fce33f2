package compat

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
	"github.com/p2p-today/go2p/mesh"
)

// A network is an old network.
type network struct {
	subnet  string
	id      string // as it travels
	version wire.Version
}

// ghost returns the ID that an author has in the network.
func (n network) ghost(author string) string { return derive(author, n.id) }

// origin returns the name that a node of the network has elsewhere.
func (n network) origin(id string) string { return originOf(n.subnet, id) }

// encode returns packets as they travel in the network. Errors: ErrValue, ErrTooLarge.
func (n network) encode(packets ...any) ([]any, error) { return fromGo(n.version, packets) }

// An oldNode is the bridge's node in an old network.
type oldNode interface {
	ID() string
	Addr() string
	Peers() []Peer
	Dropped() map[Drop]uint64
	Connect(ctx context.Context, addr string) error
	Close() error
}

// A link is the bridge's node in an old network, and the portals through which things cross. It owns the node and the
// goroutines; everything else that changes has an owner of its own.
type link struct {
	linkConfig
	counters   *counters
	residents  *residents
	leadership *leadership
	queue      *workQueue // of keys
	node       oldNode
	ghosts     *ghosts
	messages   *messages

	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// A linkConfig is what a link is made of.
type linkConfig struct {
	name    string
	opts    Options
	network network
	addrs   []string // to connect to
	log     *slog.Logger

	mesh    *mesh.Mesh
	dict    nativeDict                                 // of a sync network
	table   nativeTable                                // of a chord network
	whisper func(from, to string, packets []any) error // to an old node of any network
}

// openLink opens a node and begins what its link does, which lasts until life ends or the link is closed. The other
// context bounds the call.
func openLink(ctx, life context.Context, c linkConfig) (*link, error) {
	l := &link{
		linkConfig: c, counters: newCounters(c.log), residents: newResidents(), queue: newWorkQueue(),
		leadership: newLeadership(c.mesh.Tag(), c.mesh.ID().String()),
	}
	l.messages = newMessages(c.network, c.mesh, l.leadership, l.counters, c.whisper, c.log)
	n, err := openObserved(ctx, c.opts, l.observer())
	if err != nil {
		return nil, err
	}
	l.node = n
	l.residents.exclude(n.ID())
	self := impersonator{n}
	l.ghosts = newGhosts(c.network, n.Peers, l.openGhost, l.counters, c.log)

	life, l.cancel = context.WithCancel(life)
	l.start(life, func(ctx context.Context) { l.tick(ctx, self) })
	l.start(life, l.messages.relayIn)
	l.start(life, func(ctx context.Context) { l.messages.relayOut(ctx, n.Peers, self, l.ghosts) })
	l.start(life, func(ctx context.Context) { l.messages.whisperOut(ctx, self, l.ghosts) })
	l.start(life, l.messages.whisperIn)
	for _, addr := range c.addrs {
		l.start(life, func(ctx context.Context) { l.connect(ctx, addr) })
	}
	switch c.opts.Kind {
	case Sync:
		p := newSyncPortal(c.network, self, c.dict, l.queue, l.residents, l.counters, c.log)
		l.start(life, func(ctx context.Context) { p.watch(ctx, l.leadership) })
		l.start(life, p.run)
	case Chord:
		p := newChordPortal(c.network, n, c.table, l.queue, l.counters, l.wg.Go, c.log)
		l.start(life, p.watch)
		l.start(life, p.run)
	}
	return l, nil
}

func (l *link) start(ctx context.Context, loop func(context.Context)) { l.wg.Go(func() { loop(ctx) }) }

// close ends the link.
func (l *link) close() {
	l.cancel()
	l.node.Close()
	l.wg.Wait()
	l.ghosts.close()
}

func (l *link) openGhost(ctx context.Context, id string, take func(Message)) (ghostNode, error) {
	n, err := openGhost(ctx, l.opts, id, take)
	if err != nil {
		return nil, err
	}
	return dialingNode{n, impersonator{n}}, nil
}

// connect connects to an address, again and again until it works; then the node keeps the connection.
func (l *link) connect(ctx context.Context, addr string) {
	for pause := minRedial; ; pause = min(2*pause, maxRedial) {
		err := l.node.Connect(ctx, addr)
		if err == nil || ctx.Err() != nil {
			return
		}
		l.log.Info("cannot connect", "addr", addr, "err", err)
		if !sleep(ctx, pause) {
			return
		}
	}
}

// An announcer tells other bridges in the old network of this one.
type announcer interface{ Announce(p presence) error }

// tick does what is due from time to time.
func (l *link) tick(ctx context.Context, self announcer) {
	every := time.NewTicker(100 * time.Millisecond)
	defer every.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
		if p, due := l.leadership.due(time.Now(), len(l.node.Peers())); due {
			self.Announce(p)
		}
		if n%10 == 0 {
			l.ghosts.tend(ctx, l.leadership.elected())
		}
	}
}

// observer notes what happens at the node. Its functions must not block.
func (l *link) observer() *observer {
	return &observer{
		Message: func(m Message) {
			l.residents.add(m.From)
			l.messages.take(m)
		},
		Change: func(c Change) {
			l.residents.add(c.Owner)
			l.queue.addOld(c.Key, cause{Old: true, Owner: c.Owner, Time: c.Time.Unix()})
		},
		Conflict: func(w writeConflict) {
			l.residents.add(w.Sender)
			l.queue.addOld(w.Key, cause{Lost: []writeConflict{w}})
		},
		Notice:   func(n notice) { l.queue.addOld(n.key, cause{Old: true, OldDeleted: n.gone}) },
		Presence: func(p presence) { l.leadership.hear(time.Now(), p) },
		Event: func(ev Event) {
			switch ev.Kind {
			case EventConnect:
				l.residents.add(ev.Peer.ID)
				l.leadership.join(time.Now())
			case EventRefused:
				l.counters.refuse(ev)
			}
		},
	}
}

// sleep waits, and reports whether the context has not ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
