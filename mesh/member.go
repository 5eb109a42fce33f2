package mesh

import (
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/p2p-today/go2p/mesh/internal/liveness"
)

// A member is a connected peer that is in the network, from its hello until it
// leaves, falls silent or is lost. There is one for each, over however many
// connections.
type member struct {
	id    peer.ID
	since time.Time
	epoch time.Time
	skew  time.Duration
	heard atomic.Int64 // nanoseconds from epoch
	rtt   atomic.Int64 // nanoseconds; 0 before the first answer
	out   chan controlMessage
	gone  chan struct{} // closed when it ends

	control atomic.Pointer[network.Stream] // that it sends on, nil before the first

	live       liveness.Tracker // membership.mu
	subscribed bool             // membership.mu; gossipsub knows it
}

func newMember(p peer.ID, epoch, now time.Time, skew time.Duration) *member {
	mb := &member{
		id: p, since: now, epoch: epoch, skew: skew,
		out: make(chan controlMessage, 64), gone: make(chan struct{}),
	}
	mb.hear()
	return mb
}

// hear notes that something has arrived from the member.
func (mb *member) hear() { mb.heard.Store(int64(time.Since(mb.epoch))) }

func (mb *member) lastHeard() time.Time { return mb.epoch.Add(time.Duration(mb.heard.Load())) }

// send queues a control message for the member. It drops the message if there is no room:
// each is repeated, or missed by nobody.
func (mb *member) send(msg controlMessage) {
	select {
	case mb.out <- msg:
	default:
	}
}

// The ways to a peer.
const (
	PathDirect = "direct" // at least one connection without a relay
	PathRelay  = "relay"  // by way of a relay only
)

// A Peer is a member that this peer is connected to: a neighbour.
type Peer struct {
	ID    peer.ID
	Addrs []ma.Multiaddr // of its connections, as seen from here
	Path  string         // PathDirect or PathRelay
	RTT   time.Duration  // of the last ping; 0 before the first answer
	Since time.Time      // when it became a neighbour, by this peer's clock
	Skew  time.Duration  // its clock less this peer's at the hello, give or take the way
}
