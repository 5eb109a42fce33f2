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

	anonymous bool // others may stay nameless: on the ring of 0.4 only nodes that store say who they are
}

// greeting returns the packets of the handshake. The order of the methods tells this library from js.
func (i *identity) greeting() []any {
	methods := slices.Clone(i.methods)
	slices.Reverse(methods)
	return i.net.Version.GreetingArgs(wire.Greeting{ID: i.id, SubnetID: i.subnetID, Addr: i.addr, Methods: methods})
}

// text returns a text as it travels.
func (i *identity) text(s string) any {
	if i.net.Version.Typed() {
		return s
	}
	return []byte(s)
}

// mute reports whether nodes of this kind are silent until they are spoken to. All others speak at once, whoever has
// dialled. This node therefore listens first: a node of another version might not survive what it says.
func (i *identity) mute() bool {
	return i.net.Transport == WebSocket || i.net.Version == wire.V4 && i.net.Kind == Chord
}
