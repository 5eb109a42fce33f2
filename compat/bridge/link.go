package bridge

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/p2p-today/go2p/compat"
	"github.com/p2p-today/go2p/compat/bridge/internal/conflict"
	"github.com/p2p-today/go2p/compat/internal/legacy"
	"github.com/p2p-today/go2p/internal/backoff"
	"github.com/p2p-today/go2p/mesh"
)

// A link is the bridge's node in an old network, and the portals through which things cross. It owns the node and the
// goroutines; everything else that changes has an owner of its own.
type link struct {
	linkConfig
	counters   *counters
	residents  *residents
	leadership *leadership
	queue      *workQueue // of keys
	node       *compat.MeshNode
	ghosts     *ghosts
	messages   *messages

	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// A linkConfig has the settings of a link and the native side.
type linkConfig struct {
	name    string
	opts    compat.Options
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
	n, portal, err := l.open(ctx)
	if err != nil {
		return nil, err
	}
	l.node = n
	l.residents.exclude(n.ID())
	l.ghosts = newGhosts(c.network, n.Peers, l.openGhost, l.counters, c.log)
	self := n.Impersonator()
	loops := append(portal,
		l.messages.relayIn,
		l.messages.whisperIn,
		func(ctx context.Context) { l.messages.relayOut(ctx, n.Peers, self, l.ghosts) },
		func(ctx context.Context) { l.messages.whisperOut(ctx, self, l.ghosts) },
		func(ctx context.Context) { l.tick(ctx, self) },
	)
	for _, addr := range c.addrs {
		loops = append(loops, func(ctx context.Context) { l.connect(ctx, addr) })
	}
	life, l.cancel = context.WithCancel(life)
	for _, loop := range loops {
		l.wg.Go(func() { loop(life) })
	}
	return l, nil
}

// open opens the node, and returns the loops of the portal for the keys of its network, if it has some.
func (l *link) open(ctx context.Context) (n *compat.MeshNode, portal []func(context.Context), err error) {
	opts := l.opts
	opts.Observer = l.observer()
	switch opts.Kind {
	case compat.Sync:
		n, err := compat.OpenSync(ctx, opts)
		if err != nil {
			return nil, nil, err
		}
		p := &syncPortal{
			network: l.network, old: n.Impersonator(), native: l.dict, queue: l.queue, leadership: l.leadership,
			residents: l.residents, counters: l.counters, log: l.log, losers: conflict.Losers{},
		}
		return n.MeshNode, []func(context.Context){p.watch, p.run}, nil
	case compat.Chord:
		n, err := compat.OpenChord(ctx, opts)
		if err != nil {
			return nil, nil, err
		}
		p := &chordPortal{
			network: l.network, old: n, native: l.table, queue: l.queue, counters: l.counters, log: l.log,
			start: l.wg.Go, agreed: map[string]string{},
		}
		return n.MeshNode, []func(context.Context){p.watch, p.run}, nil
	}
	n, err = compat.OpenMesh(ctx, opts)
	return n, nil, err
}

// openGhost opens the node of a ghost, which gives receive each message that it hears.
func (l *link) openGhost(ctx context.Context, id string, receive func(compat.Message)) (ghostNode, error) {
	opts := l.opts
	opts.Observer = &compat.Observer{Message: receive}
	n, err := compat.OpenGhost(ctx, opts, id)
	if err != nil {
		return nil, err
	}
	return dialer{n, n.Impersonator()}, nil
}

// A dialer is a node that can dial once.
type dialer struct {
	*compat.MeshNode
	impersonator compat.Impersonator
}

func (d dialer) Dial(ctx context.Context, addr string) error { return d.impersonator.Dial(ctx, addr) }

// status returns the status of the link.
func (l *link) status() LinkStatus {
	s := LinkStatus{
		Name: l.name, Options: l.opts, ID: l.node.ID(), Addr: l.node.Addr(), Peers: l.node.Peers(), Authors: l.ghosts.len(),
		Elected: l.leadership.elected(), In: l.counters.in.Load(), Out: l.counters.out.Load(), Dropped: l.node.Dropped(),
	}
	l.counters.addTo(&s)
	return s
}

// close ends the link.
func (l *link) close() {
	l.cancel()
	l.node.Close()
	l.wg.Wait()
	l.ghosts.close()
}

// connect connects to an address, again and again until it works; then the node keeps the connection.
func (l *link) connect(ctx context.Context, addr string) {
	pauses := backoff.Backoff{Policy: backoff.Policy{Min: time.Second, Max: time.Minute}}
	for {
		err := l.node.Connect(ctx, addr)
		if err == nil || ctx.Err() != nil {
			return
		}
		l.log.Info("cannot connect", "addr", addr, "err", err)
		if !sleep(ctx, pauses.Next(nil)) {
			return
		}
	}
}

// tick announces this bridge when that is due, and tends ghosts once a second.
func (l *link) tick(ctx context.Context, self compat.Impersonator) {
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

// observer returns what gives the events of the node to the parts of the link. Its functions do not block.
func (l *link) observer() *compat.Observer {
	return &compat.Observer{
		Message: func(m compat.Message) {
			l.residents.add(m.From)
			l.messages.receive(m)
		},
		Change: func(c compat.Change) {
			l.residents.add(c.Owner)
			l.queue.addOld(c.Key, cause{Old: true, Owner: c.Owner, Time: c.Time.Unix()})
		},
		Conflict: func(w legacy.WriteConflict) {
			l.residents.add(w.Sender)
			l.queue.addOld(w.Key, cause{Lost: []legacy.WriteConflict{w}})
		},
		Notice:   func(n legacy.KeyNotice) { l.queue.addOld(n.Key, cause{Old: true, OldDeleted: n.Deleted}) },
		Presence: func(p legacy.Presence) { l.leadership.hear(time.Now(), p) },
		Event: func(ev compat.Event) {
			switch ev.Kind {
			case compat.EventConnect:
				l.residents.add(ev.Peer.ID)
				l.leadership.join(time.Now())
			case compat.EventRefused:
				l.counters.addRefusal(ev)
			}
		},
	}
}
