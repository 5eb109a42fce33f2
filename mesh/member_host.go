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
// peer filter stops neither floodsub peers nor the announcement of subscriptions, and
// what was withheld is never sent later.
type memberHost struct {
	host.Host
	members  *membership
	bans     *bans
	handlers *streamHandlers
	bus      event.Bus
	met      event.Emitter
}

func newMemberHost(members *membership, bans *bans, handlers *streamHandlers) (*memberHost, error) {
	h := &memberHost{Host: members.host, members: members, bans: bans, handlers: handlers, bus: eventbus.NewBus()}
	var err error
	h.met, err = h.bus.Emitter(new(event.EvtPeerIdentificationCompleted))
	return h, err
}

// announce tells gossipsub of a member, also of one that it knows already.
func (h *memberHost) announce(p peer.ID) {
	if h.members.has(p) {
		h.met.Emit(event.EvtPeerIdentificationCompleted{
			Peer: p, Protocols: []protocol.ID{onWire(gossipProtocol, h.members.tag)},
		})
	}
}

func (h *memberHost) EventBus() event.Bus      { return h.bus }
func (h *memberHost) Network() network.Network { return memberNetwork{h.Host.Network(), h.members} }

func (h *memberHost) NewStream(ctx context.Context, p peer.ID, wire ...protocol.ID) (network.Stream, error) {
	id, _, _ := offWire(wire[0])
	return h.members.newStream(ctx, p, id)
}

func (h *memberHost) SetStreamHandler(wire protocol.ID, f network.StreamHandler) {
	id, _, _ := offWire(wire)
	if f == nil {
		h.handlers.set(id, nil)
		return
	}
	h.handlers.set(id, func(s network.Stream) {
		// One stream of a member is enough for long: a new one replaces it.
		if !h.bans.count(s.Conn().RemotePeer(), peerlimit.RefusedStream, 1) {
			f(gossipStream{s, h.bans})
		}
	})
}

func (h *memberHost) RemoveStreamHandler(wire protocol.ID) { h.SetStreamHandler(wire, nil) }

// A gossipStream counts what a member gives to gossipsub. What is new is taken off
// again when it is validated.
type gossipStream struct {
	network.Stream
	bans *bans
}

func (s gossipStream) Read(p []byte) (int, error) {
	n, err := s.Stream.Read(p)
	s.bans.count(s.Conn().RemotePeer(), peerlimit.UselessBytes, n)
	return n, err
}

// A memberNetwork is the network of a memberHost.
type memberNetwork struct {
	network.Network
	members *membership
}

func (n memberNetwork) Peers() []peer.ID { return n.members.ids() }

func (n memberNetwork) Connectedness(p peer.ID) network.Connectedness {
	if !n.members.has(p) {
		return network.NotConnected
	}
	return n.Network.Connectedness(p)
}
