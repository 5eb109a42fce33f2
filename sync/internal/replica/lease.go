package replica

import (
	"errors"
	"fmt"
	"time"
)

const (
	maxTerm   = 1 << 53 // the highest term
	countTerm = 1 << 48 // the highest that counting could lead to; only a member that cheats uses a higher one
)

// raise returns the highest term seen, after one more. A term that no counting led to holds
// for its key alone: it does not use up the terms of other keys.
func raise(top, term uint64) uint64 {
	if term > countTerm {
		return top
	}
	return max(top, term)
}

// errTerms says that the terms of a key are used up, which only a member that cheats can do.
var errTerms = errors.New("no term is left for this key, since a member has used the highest")

// A LeaseError says that a key cannot be written or deleted, because another owner has its
// lease.
type LeaseError struct {
	Key   string
	Owner string        // peer ID, or legacy:<subnet>/<id>
	For   time.Duration // how long the lease still runs here, with its grace
	Until time.Time     // the same as a time, by this peer's clock
}

func (e *LeaseError) Error() string {
	return fmt.Sprintf("%q is held by %s for another %s", e.Key, e.Owner, e.For.Round(time.Second))
}

// An Instant is a moment by the two clocks of one replica. The count is never wrong by more
// than what was not saved before a crash. The wall clock also runs while the peer does not.
type Instant struct {
	Count time.Duration // for which this replica has run, over all its runs
	Wall  time.Time
}

// Rules decide about leases. All replicas of a dictionary have the same rules, except for
// Self.
type Rules struct {
	Self    string // the owner that writes here
	Leasing bool
	Lease   time.Duration
}

// grace returns what is added to the leases of other owners: a message takes time, and no
// two clocks run alike.
func (r Rules) grace() time.Duration { return max(2*time.Second, r.Lease/20) }

// Remaining returns for how long the owner of an entry keeps others from writing its key.
//
// A lease of this peer has run out as soon as either clock says so, counted from before the
// write was sent. A lease of another owner runs out one grace later, by the count alone.
func (r Rules) Remaining(now Instant, e *Entry) time.Duration {
	left := e.renewed + r.Lease - now.Count
	switch {
	case !r.Leasing:
		return 0
	case e.Owner == r.Self:
		left = min(left, time.UnixMilli(e.Time).Add(r.Lease).Sub(now.Wall))
	default:
		left += r.grace()
	}
	return max(0, left)
}

// A Lease says who owns a key.
type Lease struct {
	Owner  string        // peer ID, or legacy:<subnet>/<id>
	Term   uint64        // raised each time the key gets another owner: a fencing token
	For    time.Duration // how long others are kept from writing it, as this peer counts; 0 if they are not
	Until  time.Time     // the same as a time, by this peer's clock
	Signed bool          // the owner has signed the record; a relayed write is not signed
}

// LeaseOf returns the lease of an entry.
func (r Rules) LeaseOf(now Instant, e *Entry) Lease {
	left := r.Remaining(now, e)
	return Lease{Owner: e.Owner, Term: e.Term, For: left, Until: now.Wall.Add(left), Signed: !isLegacy(e.Owner)}
}

// write returns the term and seq with which the key of an entry may be written or deleted
// now. The entry is nil if the key has no value. Top is the highest term seen on any key, as
// raise returns it. Errors: *LeaseError, errTerms.
func (r Rules) write(now Instant, e *Entry, top uint64) (term, seq uint64, err error) {
	if e != nil && e.Owner == r.Self {
		return e.Term, e.Seq + 1, nil
	}
	if e != nil {
		if left := r.Remaining(now, e); left > 0 {
			return 0, 0, &LeaseError{e.Key, e.Owner, left, now.Wall.Add(left)}
		}
	}
	if e != nil {
		top = max(top, e.Term)
	}
	if top >= maxTerm {
		return 0, 0, errTerms
	}
	return top + 1, 0, nil
}

// relay is write on behalf of an owner in another network, which wrote at a time there. The
// term is as low as possible, so that a write of a peer without knowledge of it is higher.
// Every member that relays the same write computes the same seq.
func (r Rules) relay(now Instant, e *Entry, owner string, at uint64) (term, seq uint64, err error) {
	switch {
	case e == nil:
		return 1, at, nil
	case e.Owner == owner:
		return e.Term, max(at, e.Seq+1), nil
	}
	if left := r.Remaining(now, e); left > 0 {
		return 0, 0, &LeaseError{e.Key, e.Owner, left, now.Wall.Add(left)}
	}
	if e.Term >= maxTerm {
		return 0, 0, errTerms
	}
	return e.Term + 1, at, nil
}
