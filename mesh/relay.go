package mesh

import (
	"sync"
	"time"

	"github.com/p2p-today/go2p/internal/ttlset"
)

const (
	relayedTTL = 5 * time.Minute // how long a relayed message is recognized
	maxRelayed = 1 << 16
)

// relays owns the set of messages of other networks that a member has relayed. Its mutex
// guards the set.
type relays struct {
	mu   sync.Mutex
	seen *ttlset.Set
}

func newRelays() *relays { return &relays{seen: ttlset.New(relayedTTL, maxRelayed)} }

// first reports whether a message was not relayed before, and notes that it is now.
func (r *relays) first(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen.Add(time.Now(), id)
}
