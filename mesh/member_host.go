package mesh

import (
	"context"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"

	"github.com/p2p-today/go2p/mesh/internal/peerlimit"
)

// A memberHost is the host as gossipsub sees it: a host that is connected to the
// members of one network and to nobody else. Options of pubsub cannot do that: a
// peer filter stops neither floodsub peers nor the telling of subscriptions, and
// what was withheld is never told later.
type memberHost struct {
	host.Host
	mesh *Mesh
	bus  event.Bus
	met  event.Emitter
}

func newMemberHost(m *Mesh) (*memberHost, error) {
	g := &memberHost{Host: m.host, mesh: m, bus: eventbus.NewBus()}
	var err error
	g.met, err = g.bus.Emitter(new(event.EvtPeerIdentificationCompleted))
	return g, err
}

// announce tells gossipsub of a member, also of one that it knows already.
func (g *memberHost) announce(p peer.ID) {
	if g.mesh.isMember(p) {
		g.met.Emit(event.EvtPeerIdentificationCompleted{
			Peer: p, Protocols: []protocol.ID{onWire(gossipProtocol, g.mesh.tag)},
		})
	}
}

func (g *memberHost) EventBus() event.Bus      { return g.bus }
func (g *memberHost) Network() network.Network { return memberNetwork{g.Host.Network(), g.mesh} }

func (g *memberHost) NewStream(ctx context.Context, p peer.ID, wire ...protocol.ID) (network.Stream, error) {
	id, _, _ := offWire(wire[0])
	return g.mesh.newStream(ctx, p, id)
}

func (g *memberHost) SetStreamHandler(wire protocol.ID, f network.StreamHandler) {
	id, _, _ := offWire(wire)
	if f == nil {
		g.mesh.setHandler(id, nil)
		return
	}
	g.mesh.setHandler(id, func(s network.Stream) {
		// One stream of a member is enough for long: a new one replaces it.
		if !g.mesh.count(s.Conn().RemotePeer(), peerlimit.RefusedStream, 1) {
			f(gossipStream{s, g.mesh})
		}
	})
}

// A gossipStream counts what a member gives to gossipsub. What is new is taken off
// again in judge.
type gossipStream struct {
	network.Stream
	mesh *Mesh
}

func (s gossipStream) Read(p []byte) (int, error) {
	n, err := s.Stream.Read(p)
	s.mesh.count(s.Conn().RemotePeer(), peerlimit.UselessBytes, n)
	return n, err
}

func (g *memberHost) RemoveStreamHandler(wire protocol.ID) { g.SetStreamHandler(wire, nil) }

type memberNetwork struct {
	network.Network
	mesh *Mesh
}

func (n memberNetwork) Peers() []peer.ID { return n.mesh.memberIDs() }

func (n memberNetwork) Connectedness(p peer.ID) network.Connectedness {
	if !n.mesh.isMember(p) {
		return network.NotConnected
	}
	return n.Network.Connectedness(p)
}
