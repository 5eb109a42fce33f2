package mesh

import (
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/mesh/internal/peerlimit"
)

// count counts what a peer did against its budget. Beyond it the peer is put outside
// for ten minutes, if it is a member, and count tells that it went too far.
func (m *Mesh) count(p peer.ID, v peerlimit.Violation, n int) (over bool) {
	m.limitsMu.Lock()
	over = m.limits.Count(time.Now(), string(p), v, int64(n))
	m.limitsMu.Unlock()
	if over && m.isMember(p) {
		m.ban(p, fmt.Errorf("%w: too many %s", ErrOffended, v))
	}
	return over
}

// ban puts a member outside for ten minutes.
func (m *Mesh) ban(p peer.ID, why error) {
	until := time.Now().Add(forgiveness)
	m.limitsMu.Lock()
	m.limits.Ban(string(p), until)
	m.limitsMu.Unlock()
	m.mu.Lock()
	m.redials.Add(until, string(p))
	m.mu.Unlock()
	m.stats.note(p, why)
	m.log.Warn("member put outside for ten minutes", "peer", p, "err", why)
	m.hostmux.renew(p)
	m.expel(p, why)
}

// badBatch counts a batch from p that does not decode or verify.
func (m *Mesh) badBatch(p peer.ID, err error) {
	m.stats.badSignatures.Add(1)
	m.stats.note(p, err)
	m.count(p, peerlimit.BadBatch, 1)
}

// badFrame counts a frame from p that does not decode, or is too large.
func (m *Mesh) badFrame(p peer.ID, err error) {
	m.stats.note(p, err)
	m.count(p, peerlimit.BadFrame, 1)
}

// refuse resets a stream that is one too many.
func (m *Mesh) refuse(s network.Stream) {
	s.Reset()
	m.count(s.Conn().RemotePeer(), peerlimit.RefusedStream, 1)
}

// banned tells whether this network is kept from p: it is outside, or was disconnected
// on purpose.
func (m *Mesh) banned(p peer.ID) bool {
	m.limitsMu.Lock()
	outside := m.limits.Banned(time.Now(), string(p))
	m.limitsMu.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.disconnected[p] || outside
}

// liftDisconnect lifts what Disconnect has done.
func (m *Mesh) liftDisconnect(p peer.ID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.disconnected, p)
}
