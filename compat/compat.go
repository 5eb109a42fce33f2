// Package compat takes part in the networks of py2p and js2p, the peer-to-peer libraries of 2016-17, as one of their
// nodes: a [MeshNode], [SyncNode] or [ChordNode]. It speaks protocols 0.4, 0.5, 0.6 and 0.7, over TCP, TLS and
// WebSocket. docs/legacy.md says what old nodes do with what they get, and what this package does about it.
//
// Old networks prove nothing. A node that knows the name of a network can read, write and delete, and can claim to be
// another node. TLS there hides what is said, but no node checks a certificate.
//
// The core is internal/legacy: it decides what a node says and does. An engine drives it, connections run the pipes,
// and a dialer redials.
package compat

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/p2p-today/go2p/compat/internal/legacy"
	"github.com/p2p-today/go2p/compat/internal/wire"
)

// A Kind is what the nodes of a network do.
type Kind = legacy.Kind

// The kinds.
const (
	Mesh  = legacy.Mesh  // messages to all, or to one
	Sync  = legacy.Sync  // and a dictionary that each node holds
	Chord = legacy.Chord // and a table that is distributed over the nodes
)

// A Transport is what connections are made of.
type Transport = legacy.Transport

// The transports, with the names that are part of what nodes of a network have in common.
const (
	Plaintext = legacy.Plaintext // TCP
	SSL       = legacy.SSL       // TLS, which proves nothing
	WebSocket = legacy.WebSocket // spoken by js from 0.6 on
)

// Options say which network a node is of, and how. Version must be given.
type Options struct {
	Kind      Kind      // by default that of the constructor, and no other
	Version   string    // 0.4, 0.5, 0.6 or 0.7
	Subnet    string    // name of the network; the kind by default, as with the old libraries
	Transport Transport // Plaintext by default

	// Listen is the address, host:port, at which others are accepted. If it is empty, none are. Port 0 is any.
	Listen string
	// Advertise is the address, host:port, that others are told, by default that of Listen
	// unless it is any. Old js nodes connect to one node of a host or port only.
	Advertise string

	// NoLeasing joins a sync network whose keys belong to nobody. All its nodes must agree.
	NoLeasing bool
	// K bounds the ring of a chord network of 0.4, 6 by default. All its nodes must agree.
	K int

	// Autodial connects to nodes that others tell of, until four are dialled. Any node may tell of any address.
	Autodial bool
	// Compression announces what others may compress with: nothing by default, since what
	// old nodes do to agree on it ends connections.
	Compression bool
	// HelloDelay is how long this node is silent to a node that it has dialled, so that the other speaks first and its
	// version shows. It is half as long if the other has dialled. 2 s by default.
	HelloDelay time.Duration

	Logger   *slog.Logger // silent if it is nil
	Observer *Observer    // is shown what happens, if it is not nil
}

// An Observer is shown what happens to a node, in order. Its functions are called with the node's lock held: they must
// not block, and must not call the node, except ID. They may be called before the constructor of the node returns. A
// nil function is not called.
type Observer struct {
	Message  func(Message)
	Change   func(Change)
	Event    func(Event)
	Conflict func(WriteConflict)
	Notice   func(KeyNotice)
	Presence func(Presence)
}

// Errors. More are LeaseError and RefusedError, and those of the network.
var (
	ErrClosed     = errors.New("node is closed")
	ErrKind       = errors.New("a node of this kind cannot do that")
	ErrVersion    = errors.New("this version cannot do that")
	ErrSlow       = errors.New("it does not read what it is told")
	ErrNoPeers    = legacy.ErrNoPeers
	ErrNotFound   = legacy.ErrNotFound
	ErrNoMajority = legacy.ErrNoMajority
	ErrNoMap      = legacy.ErrNoMap
	ErrFull       = legacy.ErrFull
	ErrValue      = legacy.ErrValue
	ErrTooLarge   = legacy.ErrTooLarge
	ErrSilent     = legacy.ErrSilent
	ErrSelf       = legacy.ErrSelf
	ErrTwice      = legacy.ErrTwice
	ErrWire       = legacy.ErrWire
	ErrLeased     = legacy.ErrLeased
)

// A LeaseError is an ErrLeased. It names the Key, its Owner (an ID) and Until when the owner holds the lease.
type LeaseError = legacy.LeaseError

// A RefusedError says that a node is of another network. It has the ID of the node, the Version that it speaks ("0.6
// or 0.7" if no name fits its network), the SubnetID as it travels, and in Matches the network, if a usual name fits.
type RefusedError = legacy.RefusedError

// A Message is what another node has sent: From is the ID that the node claims, ID that of the message, Time by the
// sender's clock in seconds of UTC, Kind KindBroadcast or KindWhisper. Packets are nil, bool, int64, uint64, float64,
// string, []byte, []any or map[string]any; in 0.4 and 0.5 they are []byte.
type Message = legacy.Message

// A Change is a write or delete (Deleted) of a Key of the dictionary, by this node or another: the new Value, the ID of
// its Owner, and the Time of the write.
type Change = legacy.Change

// An Event is what happened to a connection (Kind, Peer, and Err if it is lost or refused) or to the table (Kind, Key).
type Event = legacy.Event

// A Peer is an old node that is connected: its ID, the Addr (host:port) at which it says that it listens, the Remote
// address of the connection, its Language (py, js or nothing), whether this node has dialled (Outgoing), and Since when.
type Peer = legacy.Peer

// A WriteConflict is a write that a sync node has not accepted, since another node owns the Key: the ID of its Sender,
// the Value (nil for a delta), and its Time. Its sender takes itself for the owner.
type WriteConflict = legacy.WriteConflict

// A KeyNotice says that a Key of a table was written, or Deleted.
type KeyNotice = legacy.KeyNotice

// A Presence says that there is another bridge: its ID, and the Tag of its native network.
type Presence = legacy.Presence

// A Drop is why something was not passed on, or not taken. Its String says so.
type Drop = legacy.Drop

// Kinds of a message.
const (
	KindBroadcast = legacy.KindBroadcast
	KindWhisper   = legacy.KindWhisper
)

// Kinds of an event.
const (
	EventConnect    = legacy.EventConnect
	EventDisconnect = legacy.EventDisconnect
	EventRefused    = legacy.EventRefused // a node that is not of this network, or not an old one
	EventAdd        = legacy.EventAdd     // a key of the table is new
	EventDelete     = legacy.EventDelete  // a key of the table is gone
)

// The reasons for which a node drops something; their text says more.
const (
	DropEarly    = legacy.DropEarly
	DropExpired  = legacy.DropExpired
	DropForm     = legacy.DropForm
	DropDelete   = legacy.DropDelete
	DropDelta    = legacy.DropDelta
	DropSize     = legacy.DropSize
	DropEncoding = legacy.DropEncoding
	DropFull     = legacy.DropFull
	DropNoWay    = legacy.DropNoWay
	DropDial     = legacy.DropDial
	DropOften    = legacy.DropOften
	DropConflict = legacy.DropConflict
)

// OriginPrefix begins the names of old nodes in a native network: legacy:<subnet>/<id>.
const OriginPrefix = legacy.OriginPrefix

const helloDelay = 2 * time.Second

// Complete sets the defaults of what is not given, and returns the network. The error says what is wrong.
func (o *Options) Complete() (legacy.Network, error) {
	v, err := wire.ParseVersion(o.Version)
	if err != nil {
		return legacy.Network{}, err
	}
	if o.Subnet == "" {
		o.Subnet = string(o.Kind)
	}
	if o.Transport == "" {
		o.Transport = Plaintext
	}
	if o.HelloDelay == 0 {
		o.HelloDelay = helloDelay
	}
	if o.K == 0 {
		o.K = 6
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	network := legacy.Network{
		Kind: o.Kind, Version: v, Subnet: o.Subnet, Transport: o.Transport, NoLeasing: o.NoLeasing, K: o.K,
	}
	switch {
	case o.Kind != Mesh && o.Kind != Sync && o.Kind != Chord:
		return network, fmt.Errorf("no kind %q: mesh, sync or chord", o.Kind)
	case o.Transport != Plaintext && o.Transport != SSL && o.Transport != WebSocket:
		return network, fmt.Errorf("no transport %q: Plaintext, SSL or ws", o.Transport)
	case o.Transport == WebSocket && v <= wire.V5:
		return network, fmt.Errorf("%w: WebSocket of %s has never worked", ErrVersion, v)
	case o.K < 1 || o.K > legacy.MaxK:
		return network, fmt.Errorf("k is %d: it must be between 1 and %d", o.K, legacy.MaxK)
	}
	return network, nil
}

// ParseAddr reads host:port.
func ParseAddr(text string) (wire.Addr, error) {
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
