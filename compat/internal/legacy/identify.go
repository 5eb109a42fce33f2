package legacy

import (
	"fmt"
	"slices"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

// usual are the names of networks that Identify and Candidates try in any case.
var usual = []string{"mesh", "sync", "chord", "ford", "bootstrap", ""}

// Identify returns an error that names the network of a refused node, if the network has one of some names or a usual
// one.
func Identify(v wire.Version, g wire.Greeting, names ...string) *RefusedError {
	versions := []wire.Version{v}
	e := &RefusedError{ID: g.ID, SubnetID: g.SubnetID, Version: v.String()}
	if v.Typed() { // messages of 0.6 and 0.7 have one form
		versions = append(versions, wire.V6+wire.V7-v)
		e.Version = fmt.Sprintf("%s or %s", wire.V6, wire.V7)
	}
	for _, v := range versions {
		for _, n := range Candidates(v, names...) {
			for _, n.Transport = range []Transport{Plaintext, SSL, WebSocket, "wss"} {
				if n.ID() == g.SubnetID {
					e.Version, e.Matches = v.String(), n.String()
					return e
				}
			}
		}
	}
	return e
}

// Candidates returns the networks with one of some names, or a usual one. They have no transport.
func Candidates(v wire.Version, names ...string) (list []Network) {
	for _, name := range slices.Concat(names, usual) {
		list = append(list, variants(v, name)...)
	}
	return list
}

// variants returns the networks with a name.
func variants(v wire.Version, name string) []Network {
	list := []Network{
		{Kind: Mesh, Version: v, Subnet: name},
		{Kind: Sync, Version: v, Subnet: name},
		{Kind: Sync, Version: v, Subnet: name, NoLeasing: true},
	}
	if v == wire.V4 {
		for k := 1; k <= 32; k++ {
			list = append(list, Network{Kind: Chord, Version: v, Subnet: name, K: k})
		}
	}
	return list
}

// Recognize decodes a handshake of any version. It reports false if body is none.
func Recognize(body []byte) (v wire.Version, g wire.Greeting, ok bool) {
	for _, v := range wire.Versions {
		m, err := wire.Decode(v, body)
		if err != nil || m.Sub() != wire.Handshake {
			continue
		}
		if g, err := v.ParseGreeting(m.Args()); err == nil {
			return v, g, true
		}
	}
	return 0, wire.Greeting{}, false
}
