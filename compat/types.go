package compat

import "github.com/p2p-today/go2p/compat/internal/legacy"

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
// address of the connection, its Language (py, js or nothing), whether this node has dialled (Outgoing), and
// Since when it is connected.
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
