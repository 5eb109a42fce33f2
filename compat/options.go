package compat

import (
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/p2p-today/go2p/compat/internal/legacy"
	"github.com/p2p-today/go2p/compat/internal/wire"
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
