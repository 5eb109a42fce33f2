package host

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/autorelay"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	circuit "github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/proto"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	tls "github.com/libp2p/go-libp2p/p2p/security/tls"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/libp2p/go-libp2p/p2p/transport/websocket"
	webtransport "github.com/libp2p/go-libp2p/p2p/transport/webtransport"
	"github.com/libp2p/go-libp2p/x/rate"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/prometheus/client_golang/prometheus"
)

// Options are the optional settings of New. The zero value of a field means its default.
type Options struct {
	// DataDir is the directory of the identity and the port. New makes it if it does not
	// exist. Default: none; the host has a new identity each time.
	DataDir string

	// Listen are the addresses to listen on, which must work. Default: all
	// interfaces and transports on the port remembered in DataDir, or on
	// DefaultPort, or if that is taken on a free one.
	Listen []ma.Multiaddr

	// NoMDNS turns off multicast DNS: the host neither announces itself on the local
	// network nor connects to announced hosts. Default: it does both.
	NoMDNS bool

	// RelayService makes this host a relay for other hosts, for an hour or 64 MiB per
	// connection. All users of the relay must be able to reach this host. Default: off.
	RelayService bool

	// Relays are the relays of a host that cannot be reached directly. Default: the host
	// finds out whether it can be reached. If not, it uses connected peers that are relays.
	Relays []peer.AddrInfo

	// Logger gets the log of this package. libp2p has a log of its own. Default: none.
	Logger *slog.Logger

	// Registerer gets libp2p's metrics. Default: none.
	Registerer prometheus.Registerer

	// Libp2p are further options for libp2p, applied after those of New.
	Libp2p []libp2p.Option
}

const (
	lowWater  = 96 // connections kept when there are more than highWater; members are always kept
	highWater = 192
	perIP     = 256 // connections from one address: a lab behind one router

	relayTime  = time.Hour // a relayed connection, if hole punching does not replace it
	relayBytes = 64 << 20
)

// New starts a host. The caller closes it.
func New(opts *Options) (host.Host, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	h, err := o.start()
	if err != nil {
		return nil, fmt.Errorf("host: %w", err)
	}
	return h, nil
}

func (o *Options) start() (host.Host, error) {
	key, err := identity(o.DataDir)
	if err != nil {
		return nil, err
	}
	if len(o.Listen) == 0 {
		if o.Listen, err = listenAddrs(o.DataDir); err != nil {
			return nil, err
		}
	}
	conns, err := connmgr.NewConnManager(lowWater, highWater)
	if err != nil {
		return nil, err
	}
	resources, err := limits()
	if err != nil {
		conns.Close()
		return nil, err
	}
	var self lateHost
	options := []libp2p.Option{
		libp2p.Identity(key),
		libp2p.ListenAddrs(o.Listen...),
		libp2p.ShareTCPListener(),
		libp2p.Transport(quic.NewTransport),
		libp2p.Transport(webtransport.New),
		libp2p.Transport(tcp.NewTCPTransport),
		libp2p.Transport(websocket.New),
		libp2p.Security(tls.ID, tls.New),
		libp2p.Security(noise.ID, noise.New),
		libp2p.DefaultMuxers,
		libp2p.ConnectionManager(conns),
		libp2p.ResourceManager(resources),
		libp2p.UserAgent("go2p"),
		libp2p.NATPortMap(),
		libp2p.EnableNATService(),
		libp2p.EnableAutoNATv2(),
		libp2p.EnableHolePunching(),
		o.relays(&self),
	}
	if o.RelayService {
		options = append(options, libp2p.ForceReachabilityPublic(), libp2p.EnableRelayService(
			relay.WithLimit(&relay.RelayLimit{Duration: relayTime, Data: relayBytes})))
	}
	if !o.NoMDNS {
		options = append(options, withMDNS(o.Logger))
	}
	if o.Registerer != nil {
		options = append(options, libp2p.PrometheusRegisterer(o.Registerer))
	} else {
		options = append(options, libp2p.DisableMetrics())
	}
	h, err := libp2p.New(append(options, o.Libp2p...)...)
	if err != nil {
		return nil, err
	}
	self.set(h)
	return h, nil
}

// limits returns libp2p's limits, scaled to the machine, with room for many peers behind one
// address. libp2p's own limits treat such peers as an attack.
func limits() (network.ResourceManager, error) {
	scaled := rcmgr.DefaultLimits
	libp2p.SetDefaultServiceLimits(&scaled)
	return rcmgr.NewResourceManager(
		rcmgr.NewFixedLimiter(scaled.AutoScale()),
		rcmgr.WithLimitPerSubnet(
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 32, ConnCount: perIP}},
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 56, ConnCount: perIP}, {PrefixLength: 48, ConnCount: 4 * perIP}},
		),
		rcmgr.WithConnRateLimiters(&rate.Limiter{
			SubnetRateLimiter: rate.SubnetLimiter{
				IPv4SubnetLimits: []rate.SubnetLimit{{PrefixLength: 32, Limit: rate.Limit{RPS: 16, Burst: perIP}}},
				IPv6SubnetLimits: []rate.SubnetLimit{{PrefixLength: 56, Limit: rate.Limit{RPS: 16, Burst: perIP}}},
				GracePeriod:      time.Minute,
			},
		}),
	)
}

// relays returns the options for the relays of this host.
func (o *Options) relays(self *lateHost) libp2p.Option {
	if len(o.Relays) > 0 {
		return libp2p.ChainOptions(libp2p.ForceReachabilityPrivate(),
			libp2p.EnableAutoRelayWithStaticRelays(o.Relays, autorelay.WithBootDelay(0)),
			libp2p.AddrsFactory(o.addCircuits))
	}
	return libp2p.EnableAutoRelayWithPeerSource(self.connectedRelays,
		autorelay.WithMinCandidates(1), autorelay.WithNumRelays(2), autorelay.WithBootDelay(0),
		autorelay.WithBackoff(30*time.Second), autorelay.WithMinInterval(10*time.Second))
}

// addCircuits adds the addresses through the relays. libp2p adds only those of relays with
// public addresses.
func (o *Options) addCircuits(addrs []ma.Multiaddr) []ma.Multiaddr {
	for _, r := range o.Relays {
		for _, a := range r.Addrs {
			addrs = append(addrs, a.Encapsulate(ma.StringCast("/p2p/"+r.ID.String()+"/p2p-circuit")))
		}
	}
	return ma.Unique(addrs)
}

// lateHost provides the host to options that are built before it exists.
type lateHost struct {
	mu sync.Mutex
	h  host.Host
}

func (l *lateHost) set(h host.Host) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.h = h
}

// connectedRelays returns connected peers that are relays.
func (l *lateHost) connectedRelays(_ context.Context, n int) <-chan peer.AddrInfo {
	found := make(chan peer.AddrInfo, n)
	defer close(found)
	l.mu.Lock()
	h := l.h
	l.mu.Unlock()
	if h == nil {
		return found
	}
	for _, p := range h.Network().Peers() {
		offers, err := h.Peerstore().SupportsProtocols(p, circuit.ProtoIDv2Hop)
		if err != nil || len(offers) == 0 {
			continue
		}
		if len(found) == n {
			break
		}
		found <- h.Peerstore().PeerInfo(p)
	}
	return found
}
