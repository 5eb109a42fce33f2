package legacy

import (
	"errors"
	"fmt"
	"time"
)

// Errors of a node.
var (
	ErrNoPeers    = errors.New("no old node is connected")
	ErrNotFound   = errors.New("no such key")
	ErrNoMajority = errors.New("less than three of the five tables agree")
	ErrNoMap      = errors.New("the value is no map, which only 0.7 has deltas for")
	ErrFull       = errors.New("too much waits already")
	ErrValue      = errors.New("this version has no such values")
	ErrTooLarge   = errors.New("larger than old nodes take")
	ErrSilent     = errors.New("no handshake came")
	ErrSelf       = errors.New("it is this node")
	ErrTwice      = errors.New("it is connected already")
	ErrWire       = errors.New("it does not speak this protocol")
	ErrLeased     = errors.New("key is leased by another node")
	ErrChanged    = errors.New("changed") // a decision about a key is out of date
)

// A LeaseError says which node owns a key. It is an ErrLeased.
type LeaseError struct {
	Key   string
	Owner string // ID
	Until time.Time
}

func (e *LeaseError) Error() string {
	return fmt.Sprintf("key %q is leased by %s until %s", e.Key, e.Owner, e.Until.Format(time.RFC3339))
}

// Is makes it an ErrLeased.
func (e *LeaseError) Is(target error) bool { return target == ErrLeased }

// A RefusedError says that a node is of another network.
type RefusedError struct {
	ID       string
	SubnetID string // as it travels
	Version  string // that it speaks; "0.6 or 0.7" if it is of a network that no name fits
	Matches  string // a network that it could be of, if one of the usual names fits
}

func (e *RefusedError) Error() string {
	text := fmt.Sprintf("it speaks %s and is of another network", e.Version)
	if e.Matches != "" {
		return text + ": " + e.Matches
	}
	return text + " (" + e.SubnetID + ")"
}
