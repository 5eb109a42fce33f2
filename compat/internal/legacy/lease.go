package legacy

import (
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

// Lease is how long a key belongs to the node that has written it.
const Lease = time.Hour

// accepts reports whether an entry replaces the one that is held. All nodes of a version apply this rule, each by its
// own clock.
func (d *SyncMap) accepts(now time.Time, key string, b Entry, delta bool) bool {
	a, held := d.entries[key]
	switch {
	case !held, a.Owner == b.Owner:
		return true
	case a.Time < now.Add(-Lease).Unix():
		return true
	case a.Time == b.Time && a.Owner > b.Owner:
		return true
	case d.version == wire.V4:
		return !d.leasing || a.Time > b.Time // in 0.4 the older of two wins
	default:
		return !d.leasing && (delta || a.Time < b.Time)
	}
}

// acceptsLater reports whether old nodes accept an entry at its time and later. The time decides between two owners in
// one second: js of 0.5 refuses equal times, and a message may get a later time.
func (d *SyncMap) acceptsLater(now time.Time, key string, b Entry) bool {
	later := b
	later.Time = max(b.Time, d.entries[key].Time+1)
	return d.accepts(now, key, b, false) && d.accepts(now, key, later, false)
}

// writeTime returns the time of a write of this node. Without leasing it is later than that of another owner: py
// compares the owners of equal times, and some versions do not survive that.
func (d *SyncMap) writeTime(now time.Time, key string) time.Time {
	if e, held := d.entries[key]; held && e.Owner != d.node.id && e.Time >= now.Unix() && !d.leasing {
		return time.Unix(e.Time+1, 0)
	}
	return now
}

// checkOwner returns a *LeaseError if this node may not write a key.
func (d *SyncMap) checkOwner(now time.Time, key string, delta bool) error {
	e, held := d.entries[key]
	mine := Entry{Owner: d.node.id, OwnerText: true, Time: d.writeTime(now, key).Unix()}
	tie := d.leasing && e.Owner != d.node.id && e.Time == now.Unix() // which not all nodes survive
	if !held || d.accepts(now, key, mine, delta) && !tie {
		return nil
	}
	return &LeaseError{Key: key, Owner: e.Owner, Until: time.Unix(e.Time, 0).Add(Lease).UTC()}
}
