package replica

import (
	"errors"
	"fmt"
	"time"
)

const (
	maxTerm   = 1 << 53 // the highest term
	countTerm = 1 << 48 // the highest that counting could lead to; one above is of a member that cheats
)

// raise is the highest term seen, after one more. One that nobody counted to holds for
// its key alone: it does not use up the terms for the others.
func raise(top, term uint64) uint64 {
	if term > countTerm {
		return top
	}
	return max(top, term)
}

// errTerms says that a member has used up the terms of a key, which only one that cheats
// can.
var errTerms = errors.New("no term is left for this key, since a member has used the highest")

// A LeaseError says that a key cannot be written or deleted since another peer has its
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

// An Instant is a moment as one replica sees it. The two clocks serve different ends:
// the count is never wrong by more than what was not saved before a crash, and the
// wall clock also runs while this peer does not.
type Instant struct {
	Count time.Duration // this replica has run, over all its runs
	Wall  time.Time
}

// Rules decide about leases. All replicas of a dictionary have the same, but for self.
type Rules struct {
	Self    string // the owner that writes here
	Leasing bool
	Lease   time.Duration
}

// grace is added to the leases of others, since a message takes time and no two clocks
// run alike.
func (r Rules) grace() time.Duration { return max(2*time.Second, r.Lease/20) }

// Remaining says for how long the owner of an entry keeps others from writing it.
//
// One's own lease has run out as soon as either clock says so, counted from before the
// write was sent; that of another one grace later, by the count alone.
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

// A Lease says whose a key is.
type Lease struct {
	Owner  string        // peer ID, or legacy:<subnet>/<id>
	Term   uint64        // raised each time the key gets another owner: a fencing token
	For    time.Duration // how long others are kept from writing it, as this peer counts; 0 if they are not
	Until  time.Time     // the same as a time, by this peer's clock
	Signed bool          // the owner has signed it; what came over an old link is not
}

// LeaseOf returns the lease of an entry.
func (r Rules) LeaseOf(now Instant, e *Entry) Lease {
	left := r.Remaining(now, e)
	return Lease{Owner: e.Owner, Term: e.Term, For: left, Until: now.Wall.Add(left), Signed: !isLegacy(e.Owner)}
}

// write says with which term and number the key of an entry may be written now, or
// deleted. The entry is nil if nobody has the key, and top is what raise has made of the
// terms seen on any.
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
