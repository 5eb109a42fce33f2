package compat

// CORE: who somebody is that is not of this network.

import (
	"fmt"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

// usual are names of networks that are tried on a node that was refused.
var usual = []string{"mesh", "sync", "chord", "ford", "bootstrap", ""}

// identify finds a network that a node could be of, among some names and the usual ones.
func identify(v wire.Version, g wire.Greeting, names ...string) *RefusedError {
	versions := []wire.Version{v}
	e := &RefusedError{ID: g.ID, SubnetID: g.SubnetID, Version: v.String()}
	if v.Typed() { // the messages of both are alike
		versions = append(versions, wire.V6+wire.V7-v)
		e.Version = fmt.Sprintf("%s or %s", wire.V6, wire.V7)
	}
	for _, v := range versions {
		for _, name := range append(names, usual...) {
			for _, transport := range []Transport{Plaintext, SSL, WebSocket, "wss"} {
				for _, o := range variants(v, name) {
					o.Transport = transport
					if o.subnetID(v) == g.SubnetID {
						e.Version, e.Matches = v.String(), o.describe()
						return e
					}
				}
			}
		}
	}
	return e
}

// variants are the options that a name could go with.
func variants(v wire.Version, name string) []Options {
	list := []Options{{Kind: Mesh, Subnet: name}, {Kind: Sync, Subnet: name}, {Kind: Sync, Subnet: name, NoLeasing: true}}
	if v == wire.V4 {
		for k := 1; k <= 32; k++ {
			list = append(list, Options{Kind: Chord, Subnet: name, K: k})
		}
	}
	return list
}

func (o *Options) describe() string {
	text := fmt.Sprintf("%s %q over %s", o.Kind, o.Subnet, o.Transport)
	switch {
	case o.Kind == Mesh && o.Subnet == string(Chord):
		return fmt.Sprintf("chord %q over %s", o.Subnet, o.Transport)
	case o.Kind == Sync && o.NoLeasing:
		return text + " without leasing"
	case o.Kind == Chord:
		return fmt.Sprintf("%s with k=%d", text, o.K)
	}
	return text
}
