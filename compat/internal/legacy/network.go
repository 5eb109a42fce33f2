// Package legacy decides what a node of an old network says and does: a [Node] on its own, or with the [SyncMap] of a
// sync network or the [DHT] of a chord network. It has no socket, no clock and no goroutine. Each call that may have
// consequences returns them as [Effects].
package legacy

import (
	"fmt"
	"math/big"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

// A Kind is what the nodes of a network do. Nodes of different kinds never talk to each other, unless the name of one
// network is made to look like that of another.
type Kind string

// The kinds.
const (
	Mesh  Kind = "mesh"  // messages to all, or to one
	Sync  Kind = "sync"  // and a dictionary that each node holds
	Chord Kind = "chord" // and a table that is distributed over the nodes
)

// A Transport is what connections are made of.
type Transport string

// The transports, with the names that are part of what nodes of a network have in common.
const (
	Plaintext Transport = "Plaintext" // TCP
	SSL       Transport = "SSL"       // TLS, which proves nothing
	WebSocket Transport = "ws"        // spoken by js from 0.6 on
)

// A Network is what all nodes of an old network have in common.
type Network struct {
	Kind      Kind
	Version   wire.Version
	Subnet    string
	Transport Transport
	NoLeasing bool // of a sync network
	K         int  // of a chord network of 0.4
}

// ID returns what the nodes of the network compare, as it travels.
func (n Network) ID() string {
	subnet := n.Subnet
	if n.Kind == Sync && n.NoLeasing {
		subnet += "0"
	} else if n.Kind == Sync {
		subnet += "1"
	}
	id := wire.SubnetID(n.Version, subnet, string(n.Transport))
	if n.Kind == Chord && n.Version == wire.V4 {
		id += wire.Base58(big.NewInt(int64(n.K)).Bytes())
	}
	return id
}

// String describes the network for people.
func (n Network) String() string {
	text := fmt.Sprintf("%s %q over %s", n.Kind, n.Subnet, n.Transport)
	switch {
	case n.Kind == Mesh && n.Subnet == string(Chord):
		return fmt.Sprintf("chord %q over %s", n.Subnet, n.Transport)
	case n.Kind == Sync && n.NoLeasing:
		return text + " without leasing"
	case n.Kind == Chord:
		return fmt.Sprintf("%s with k=%d", text, n.K)
	}
	return text
}
