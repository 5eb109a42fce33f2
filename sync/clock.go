package sync

import (
	"time"

	"github.com/p2p-today/go2p/sync/internal/replica"
)

// A clock says what time it is for one replica. It does not change.
type clock struct {
	started time.Time        // of this run
	before  time.Duration    // that the replica had run when this run began
	wall    func() time.Time // which a lease is only ever shortened by
}

// now returns this moment by both clocks of a replica.
func (c clock) now() replica.Instant {
	return replica.Instant{Count: c.before + time.Since(c.started), Wall: c.wall()}
}
