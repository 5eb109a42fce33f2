package legacy

import (
	"slices"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

// An identity is what a node says of itself.
type identity struct {
	net      Network
	id       string
	subnetID string // as it travels
	addr     wire.Addr
	methods  []wire.Method // that others may compress with

	anonymous bool // others need not say who they are: on the ring of 0.4 only those do that store
}

// greeting returns the packets of the handshake.
func (i *identity) greeting() []any {
	methods := slices.Clone(i.methods)
	slices.Reverse(methods) // which tells it from js
	return i.net.Version.GreetingArgs(wire.Greeting{ID: i.id, SubnetID: i.subnetID, Addr: i.addr, Methods: methods})
}

// text is text as it travels.
func (i *identity) text(s string) any {
	if i.net.Version.Typed() {
		return s
	}
	return []byte(s)
}

// mute reports whether nodes of this kind wait until they are spoken to. All others speak at
// once, whoever has dialled, so that this node first listens: what speaks another version
// might not survive what this one says.
func (i *identity) mute() bool {
	return i.net.Transport == WebSocket || i.net.Version == wire.V4 && i.net.Kind == Chord
}
