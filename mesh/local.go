package mesh

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/internal/fanout"
	"github.com/p2p-today/go2p/internal/lifecycle"
	"github.com/p2p-today/go2p/internal/notify"
	"github.com/p2p-today/go2p/mesh/internal/netkey"
	"github.com/p2p-today/go2p/mesh/internal/repair"
)

// A local is this peer in one network: what all components of a mesh share, and none of
// them changes. It knows none of them.
type local struct {
	host    host.Host
	id      peer.ID
	network string
	secret  netkey.Secret
	tag     string // of the network
	signer  crypto.PrivKey
	boot    uint64    // the number of this run
	epoch   time.Time // the start of this run; what is timed is timed from here
	clock   func() time.Time
	log     *slog.Logger
	group   *lifecycle.Group // all that the mesh starts
	events  *fanout.Feed[Event]
	stats   *stats
}

// ctx returns the context that ends with the mesh.
func (l *local) ctx() context.Context { return l.group.Context() }

// ownRun names the broadcasts of this run.
func (l *local) ownRun() repair.Run { return repair.Run{Author: string(l.id), Boot: l.boot} }

// sign signs for one purpose and for this network alone.
func (l *local) sign(purpose string, body []byte) ([]byte, error) {
	return l.signer.Sign(l.signed(purpose, body))
}

// verify reports whether a peer has signed something for a purpose in this network.
func (l *local) verify(author peer.ID, purpose string, body, sig []byte) bool {
	key, err := author.ExtractPublicKey()
	if err != nil {
		return false
	}
	ok, err := key.Verify(l.signed(purpose, body), sig)
	return ok && err == nil
}

func (l *local) signed(purpose string, body []byte) []byte {
	return slices.Concat([]byte(purpose), l.secret.Derive(purpose), body)
}

// newRand is a random source for a core.
func newRand() *rand.Rand {
	return rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
}

// refused notes that a hello with p found no network in common.
func (l *local) refused(p peer.ID, explicit bool) {
	if !explicit {
		l.log.Debug("stranger", "peer", p, "err", ErrNoCommonNetwork)
		return
	}
	if !l.stats.note(p, ErrNoCommonNetwork) {
		return // it tries again and again
	}
	l.log.Warn("connection refused", "peer", p, "err", ErrNoCommonNetwork)
	l.events.Publish(Event{Kind: EventRefused, Peer: p, Time: time.Now(), Err: ErrNoCommonNetwork})
}

// beat is the shortest time between two steps of a loop that nothing wakes.
const beat = 100 * time.Millisecond

// loop calls step at the time that the step before has returned, and when it is woken,
// until the mesh ends.
func (l *local) loop(wake notify.Flag, step func(now time.Time) (next time.Time)) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-l.ctx().Done():
			return
		case <-wake.C():
		case <-timer.C:
		}
		next := step(time.Now())
		timer.Reset(max(time.Until(next), beat))
	}
}
