// Package compat takes part in the networks of py2p and js2p, the peer-to-peer libraries
// of 2016-17, as one of their nodes. It speaks protocols 0.4, 0.5, 0.6 and 0.7, over TCP,
// TLS and WebSocket, and takes the care that old nodes need: docs/legacy.md tells what they
// do with what they get.
//
// Old networks prove nothing: whoever knows the name of one can read, write and delete, and
// can say that it is another. TLS there hides, but nobody checks a certificate.
package compat

import (
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"strconv"
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

// A Kind is what the nodes of a network do. Nodes of one kind never talk to those of
// another, but a name that fits.
type Kind string

// The kinds.
const (
	Mesh  Kind = "mesh"  // messages to all, or to one
	Sync  Kind = "sync"  // and a dictionary that each holds
	Chord Kind = "chord" // and a table that is spread over them
)

// A Transport is what connections are made of.
type Transport string

// The transports, with the names that are part of what nodes of a network have in common.
const (
	Plaintext Transport = "Plaintext" // TCP
	SSL       Transport = "SSL"       // TLS, which proves nothing
	WebSocket Transport = "ws"        // spoken by js from 0.6 on
)

// Options say which network a node is of, and how. Kind and Version must be given.
type Options struct {
	Kind      Kind
	Version   string    // 0.4, 0.5, 0.6 or 0.7
	Subnet    string    // name of the network; the kind by default, as with the old libraries
	Transport Transport // Plaintext by default

	// Listen is the address, host:port, at which others are accepted; nobody is if it is
	// empty. Port 0 is any.
	Listen string
	// Advertise is the address, host:port, that others are told, by default that of Listen
	// unless it is any. Old js nodes connect to one node of a host or port only.
	Advertise string

	// NoLeasing joins a sync network whose keys belong to nobody. All its nodes must agree.
	NoLeasing bool
	// K bounds the ring of a chord network of 0.4, 6 by default. All its nodes must agree.
	K int

	// Autodial connects to nodes that others tell of, until there are four. Anybody may
	// tell of any address.
	Autodial bool
	// Compression announces what others may compress with: nothing by default, since what
	// old nodes do to agree on it ends connections.
	Compression bool

	Logger *slog.Logger // silent if it is nil

	listening time.Duration // shorter in tests that have no old nodes
	tap       func(any)     // is shown all that is told, and must not wait: of a bridge
	persona   string        // the ID, of a node that only listens: of a bridge
}

// Errors. More are LeaseError and RefusedError, and those of the network.
var (
	ErrClosed     = errors.New("node is closed")
	ErrNoPeers    = errors.New("no old node is connected")
	ErrNotFound   = errors.New("no such key")
	ErrNoMajority = errors.New("less than three of the five tables agree")
	ErrNoMap      = errors.New("the value is no map, which only 0.7 has deltas for")
	ErrFull       = errors.New("too much waits already")
	ErrKind       = errors.New("a node of this kind cannot do that")
	ErrVersion    = errors.New("this version cannot do that")
	ErrValue      = errors.New("this version has no such values")
	ErrTooLarge   = errors.New("larger than old nodes take")
	ErrSilent     = errors.New("no handshake came")
	ErrSelf       = errors.New("it is this node")
	ErrTwice      = errors.New("it is connected already")
	ErrWire       = errors.New("it does not speak this protocol")
	ErrSlow       = errors.New("it does not read what it is told")
	ErrLeased     = errors.New("key is leased by another node")
)

// A LeaseError says whose a key is. It is an ErrLeased.
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

// Kinds of a message.
const (
	KindBroadcast = "broadcast"
	KindWhisper   = "whisper"
)

// A Message is what another node has sent. Packets are nil, bool, int64, uint64, float64,
// string, []byte, []any or map[string]any; in 0.4 and 0.5 they are []byte.
type Message struct {
	From    string // ID of the node, as it says itself
	ID      string
	Time    time.Time // UTC, in seconds, by the clock of its sender
	Kind    string
	Packets []any
}

// A Change is a key of the dictionary that was written or deleted, by this node or another.
type Change struct {
	Key     string
	Value   any
	Owner   string // ID
	Time    time.Time
	Deleted bool
}

// Kinds of an event.
const (
	EventConnect    = "connect"
	EventDisconnect = "disconnect"
	EventRefused    = "refused" // a node that is not of this network, or not an old one
	EventAdd        = "add"     // a key of the table is new
	EventDelete     = "delete"  // a key of the table is gone
)

// An Event is what has happened to a node's connections, or its table.
type Event struct {
	Kind string
	Peer Peer
	Key  string
	Err  error
}

// A Peer is an old node that is connected.
type Peer struct {
	ID       string
	Addr     string // host:port at which it says that it listens; empty if it does not
	Remote   string // host:port of the connection
	Language string // py or js, or empty if it does not show
	Outgoing bool   // this node has dialled
	Since    time.Time
}

// A Drop is why something was not passed on, or not taken.
type Drop string

// The reasons.
const (
	DropEarly    Drop = "came before a handshake"
	DropExpired  Drop = "older than a minute, or from the future"
	DropForm     Drop = "wrong form"
	DropDelete   Drop = "a delete that its receiver would not survive"
	DropDelta    Drop = "a delta that its receiver would not survive"
	DropSize     Drop = "larger than a WebSocket takes"
	DropEncoding Drop = "cannot be encoded for its receiver"
	DropFull     Drop = "no room"
	DropNoWay    Drop = "nobody knew where its receiver is"
	DropDial     Drop = "too many to dial"
	DropOften    Drop = "the same under one name, more often than its receivers can tell apart"
)

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

func (o *Options) complete() (v wire.Version, err error) {
	if v, err = wire.ParseVersion(o.Version); err != nil {
		return v, err
	}
	if o.Subnet == "" {
		o.Subnet = string(o.Kind)
	}
	if o.Transport == "" {
		o.Transport = Plaintext
	}
	if o.listening == 0 {
		o.listening = listenTime
	}
	if o.K == 0 {
		o.K = 6
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	switch {
	case o.Kind != Mesh && o.Kind != Sync && o.Kind != Chord:
		return v, fmt.Errorf("no kind %q: mesh, sync or chord", o.Kind)
	case o.Transport != Plaintext && o.Transport != SSL && o.Transport != WebSocket:
		return v, fmt.Errorf("no transport %q: Plaintext, SSL or ws", o.Transport)
	case o.Transport == WebSocket && v <= wire.V5:
		return v, fmt.Errorf("%w: WebSocket of %s has never worked", ErrVersion, v)
	case o.K < 1 || o.K > ringBits:
		return v, fmt.Errorf("k is %d: it must be between 1 and %d", o.K, ringBits)
	}
	return v, nil
}

// subnetID is what nodes of the network have in common, as it travels.
func (o *Options) subnetID(v wire.Version) string {
	subnet := o.Subnet
	if o.Kind == Sync && o.NoLeasing {
		subnet += "0"
	} else if o.Kind == Sync {
		subnet += "1"
	}
	id := wire.SubnetID(v, subnet, string(o.Transport))
	if o.Kind == Chord && v == wire.V4 {
		id += wire.Base58(big.NewInt(int64(o.K)).Bytes())
	}
	return id
}

// parseAddr reads host:port.
func parseAddr(text string) (wire.Addr, error) {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return wire.Addr{}, err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return wire.Addr{}, fmt.Errorf("port %q", port)
	}
	return wire.Addr{Host: host, Port: int(n)}, nil
}
