package mesh

import (
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// offences are the bad signatures that one member sent, and the forgiveness to
// come. Only who was a member can have any.
type offences struct {
	times   []time.Time // of the last minute
	outside time.Time   // until when it is no member
}

// offence counts a bad signature from p; the tenth in a minute ends its
// membership for ten minutes.
func (m *Mesh) offence(p peer.ID, err error) {
	now := time.Now()
	m.stats.badSignatures.Add(1)
	m.stats.note(p, err)
	m.mu.Lock()
	o := m.offences[p]
	if o == nil {
		for q, old := range m.offences {
			if now.After(old.outside) && now.Sub(old.times[len(old.times)-1]) > offencesIn {
				delete(m.offences, q)
			}
		}
		o = &offences{}
		m.offences[p] = o
	}
	o.times = slices.DeleteFunc(o.times, func(t time.Time) bool { return now.Sub(t) > offencesIn })
	o.times = append(o.times, now)
	over := len(o.times) >= maxOffences
	if over {
		o.outside = now.Add(forgiveness)
		o.times = o.times[:1]
		m.redials.add(o.outside, string(p))
	}
	m.mu.Unlock()
	if over {
		m.log.Warn("member put outside for ten minutes", "peer", p, "err", ErrOffended)
		m.hub.renew(p)
		m.expel(p, ErrOffended)
	}
}

// hides tells whether this network is kept from p: it offended lately, or was
// disconnected on purpose.
func (m *Mesh) hides(p peer.ID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	o := m.offences[p]
	return m.parted[p] || o != nil && time.Now().Before(o.outside)
}

// unpart lifts what Disconnect has done.
func (m *Mesh) unpart(p peer.ID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.parted, p)
}
