package host

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/discovery/mdns"
	"go.uber.org/fx"
)

// mdnsService is the name under which go2p hosts find each other. It shows that a host runs
// go2p, but not which networks it has joined.
const mdnsService = "_go2p._udp"

const (
	mdnsDialTimeout = 10 * time.Second
	mdnsAttempts    = 3
	mdnsPause       = 2 * time.Second
)

// withMDNS runs discovery on the local network until the host is closed. libp2p's
// constructor takes such a part as an fx option.
func withMDNS(log *slog.Logger) libp2p.Option {
	return libp2p.WithFxOption(fx.Invoke(func(h host.Host, life fx.Lifecycle) {
		l := &lan{host: h, log: log}
		life.Append(fx.StartStopHook(l.start, l.stop))
	}))
}

// A lan connects to the go2p hosts that announce themselves on the local network.
type lan struct {
	host   host.Host
	log    *slog.Logger
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	mdns   mdns.Service
}

func (l *lan) start() {
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.mdns = mdns.NewMdnsService(l.host, mdnsService, l)
	if err := l.mdns.Start(); err != nil {
		// The host works without a local network as well.
		l.log.Warn("no discovery on the local network", "err", err)
	}
}

func (l *lan) stop() {
	l.cancel()
	l.mdns.Close()
	l.wg.Wait()
}

// HandlePeerFound connects to a host that has announced itself.
func (l *lan) HandlePeerFound(found peer.AddrInfo) {
	if found.ID == l.host.ID() || l.host.Network().Connectedness(found.ID) == network.Connected {
		return
	}
	l.wg.Go(func() { l.connect(found) })
}

func (l *lan) connect(found peer.AddrInfo) {
	for range mdnsAttempts {
		ctx, cancel := context.WithTimeout(l.ctx, mdnsDialTimeout)
		err := l.host.Connect(ctx, found)
		cancel()
		if err == nil {
			l.log.Debug("connected on the local network", "peer", found.ID)
			return
		}
		l.log.Debug("cannot connect on the local network", "peer", found.ID, "err", err)
		select {
		case <-l.ctx.Done():
			return
		case <-time.After(mdnsPause):
		}
	}
}
