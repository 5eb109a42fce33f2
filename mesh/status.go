package mesh

import (
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Status is a snapshot of a mesh.
type Status struct {
	ID         peer.ID
	Network    string
	Private    bool          // it has a key
	Boot       uint64        // raised at each start
	Uptime     time.Duration // since Join
	Neighbours int
	Redialling int // peers dialled again and again until they are members

	SentBroadcasts, SentWhispers         uint64
	ReceivedBroadcasts, ReceivedWhispers uint64 // handed to the handlers; replies are whispers
	RepairedBroadcasts                   uint64 // fetched from a neighbour after gossip had lost them
	LostBroadcasts                       uint64 // reported as gaps, for they were nowhere to be had in time
	DroppedBroadcasts                    uint64 // crowded out of a full inbox, or beyond what one author may send, and reported as gaps
	BadSignatures                        uint64

	Errors []PeerError // the last 16, oldest first
}

// Status returns a snapshot, which is the caller's.
func (m *Mesh) Status() Status {
	return Status{
		ID: m.id, Network: m.network, Private: m.opts.Key != nil, Boot: m.boot, Uptime: time.Since(m.epoch),
		Neighbours: m.members.count(), Redialling: m.dialer.redialling(),
		SentBroadcasts: m.stats.sentBroadcasts.Load(), SentWhispers: m.stats.sentWhispers.Load(),
		ReceivedBroadcasts: m.stats.gotBroadcasts.Load(), ReceivedWhispers: m.stats.gotWhispers.Load(),
		RepairedBroadcasts: m.stats.repairedBroadcasts.Load(), LostBroadcasts: m.stats.lostBroadcasts.Load(),
		DroppedBroadcasts: m.stats.droppedBroadcasts.Load(), BadSignatures: m.stats.badSignatures.Load(),
		Errors: m.stats.last(),
	}
}
