package replica

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/p2p-today/go2p/internal/dcbor"
)

// ErrRefused says that a neighbour has a dictionary with other leases, so that the two do
// not exchange anything. Both sides report it.
var ErrRefused = errors.New("other leases")

// A RefusedError is an ErrRefused with both sides' leases.
type RefusedError struct {
	Peer         string        // peer ID
	Mine, Theirs time.Duration // the lease; 0 without leasing
}

func (e *RefusedError) Error() string {
	mine, theirs := leaseText(e.Mine), leaseText(e.Theirs)
	return fmt.Sprintf("%v: this peer's dictionary has %s, that of %s %s", ErrRefused, mine, e.Peer, theirs)
}

func (e *RefusedError) Unwrap() error { return ErrRefused }

func leaseText(d time.Duration) string {
	if d == 0 {
		return "no leases"
	}
	return "leases of " + d.String()
}

// Params are what all replicas of a dictionary must have in common: the lease in
// milliseconds, or that there is none.
type Params struct {
	leasing bool
	lease   uint64
}

func (r Rules) Params() Params {
	if !r.Leasing {
		return Params{}
	}
	return Params{true, uint64(r.Lease.Milliseconds())}
}

func (p Params) Duration() time.Duration {
	return time.Duration(min(p.lease, uint64(MaxAge.Milliseconds()))) * time.Millisecond
}

func (p Params) append(dst []byte) []byte {
	return dcbor.AppendUint(dcbor.AppendBool(dst, p.leasing), p.lease)
}

func scanParams(s *dcbor.Scanner) *Params { return &Params{s.Bool(), s.Uint()} }

// Topic returns the name of the topic of dictionaries with these parameters.
func (p Params) Topic() string {
	sum := sha256.Sum256(p.append([]byte("go2p-sync-1")))
	return "sync/" + hex.EncodeToString(sum[:8])
}
