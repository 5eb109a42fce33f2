package mesh

import (
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/mesh/internal/peerlimit"
)

// bans owns the list of peers that this network is kept from: those banned for what they
// did, and those that a user has disconnected. It counts what peers do. Its mutex guards
// both, and is held by no other component's call.
type bans struct {
	*local
	ban func(p peer.ID, why error) // called without the mutex for a peer beyond a budget

	mu           sync.Mutex
	limits       *peerlimit.Table
	disconnected map[peer.ID]bool // until somebody connects explicitly
}

func newBans(l *local, ban func(p peer.ID, why error)) *bans {
	return &bans{
		local: l, ban: ban,
		limits: peerlimit.NewTable(peerlimit.DefaultBudgets()), disconnected: map[peer.ID]bool{},
	}
}

// count counts n violations of a peer, and reports whether the peer is beyond its budget. A
// member that is so is banned.
func (b *bans) count(p peer.ID, v peerlimit.Violation, n int) (over bool) {
	b.mu.Lock()
	over = b.limits.Count(time.Now(), string(p), v, int64(n))
	b.mu.Unlock()
	if over {
		b.ban(p, fmt.Errorf("%w: too many %s", ErrOffended, v))
	}
	return over
}

// badBatch counts a batch from p that does not decode or verify.
func (b *bans) badBatch(p peer.ID, err error) {
	b.stats.badSignatures.Add(1)
	b.stats.note(p, err)
	b.count(p, peerlimit.BadBatch, 1)
}

// badFrame counts a frame from p that does not decode, or is too large.
func (b *bans) badFrame(p peer.ID, err error) {
	b.stats.note(p, err)
	b.count(p, peerlimit.BadFrame, 1)
}

// refuse resets a stream that is one too many.
func (b *bans) refuse(s network.Stream) {
	s.Reset()
	b.count(s.Conn().RemotePeer(), peerlimit.RefusedStream, 1)
}

// add bans a peer until a time.
func (b *bans) add(p peer.ID, until time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.limits.Ban(string(p), until)
}

// disconnect keeps the network from a peer until lift.
func (b *bans) disconnect(p peer.ID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.disconnected[p] = true
}

// lift ends what disconnect has done.
func (b *bans) lift(p peer.ID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.disconnected, p)
}

// has reports whether this network is kept from a peer.
func (b *bans) has(p peer.ID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.disconnected[p] || b.limits.Banned(time.Now(), string(p))
}
