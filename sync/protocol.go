package sync

import (
	"time"

	"github.com/libp2p/go-libp2p/core/protocol"
)

// Protocol is what two replicas reconcile over. Who opens a stream sends its parameters
// and begins a session, or asks whether the other has a write.
const Protocol protocol.ID = "/go2p/sync/1.0.0"

// Limits of the protocol.
const (
	maxFrame    = 4 << 20          // bytes of a message
	frameTime   = 10 * time.Second // for one message, to come or to go
	sessionTime = 10 * time.Minute
	ackTime     = time.Minute // how long a question for a write waits
	maxServed   = 16          // streams of one neighbour
	maxUseless  = 64 << 20    // bytes of records in a session that bring nothing
)
