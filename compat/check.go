package compat

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/p2p-today/go2p/compat/internal/legacy"
	"github.com/p2p-today/go2p/compat/internal/wire"
)

// A Found says what an old node speaks.
type Found struct {
	Transport Transport
	Version   string // "0.6 or 0.7" if no name fits its network: messages of both have one form
	Language  string // py or js, or empty if it does not show
	ID        string
	Addr      string // host:port at which it says that it listens
	SubnetID  string // of its network, as it travels
	Network   string // which that is, if it has one of the usual names, or one that was tried
}

// ErrSaysNothing means that something accepts connections at the address, but says nothing that an old node would.
var ErrSaysNothing = errors.New("it says nothing that an old node would")

// Check finds out what an old node at an address, host:port, speaks. It does no harm to the node and its network: old
// js nodes do not survive the words of another version, so that Check listens first, and old py nodes do not survive
// the plain end of a connection, so that Check says goodbye. Subnets are names of networks to try beside the usual
// ones. Errors: ErrSaysNothing, those of dialling, the context's.
func Check(ctx context.Context, addr string, subnets ...string) (Found, error) {
	f, err := check(ctx, addr, subnets)
	if err != nil {
		return Found{}, fmt.Errorf("compat: %s: %w", addr, err)
	}
	return f, nil
}

func check(ctx context.Context, addr string, subnets []string) (Found, error) {
	if _, err := ParseAddr(addr); err != nil {
		return Found{}, err
	}
	// A node that speaks at once is found by listening. To an old node without TLS or WebSocket, their first bytes are
	// the length of a frame that never comes.
	for _, t := range []Transport{Plaintext, SSL} {
		p, err := dialPipe(ctx, t, addr)
		if err != nil && (t == Plaintext || ctx.Err() != nil) {
			return Found{}, err
		}
		if err != nil {
			continue
		}
		body, err := listenTo(p)
		if err != nil {
			continue
		}
		return interpret(t, body, subnets)
	}
	for _, v := range []wire.Version{wire.V7, wire.V6} {
		for _, network := range legacy.Candidates(v, subnets...) {
			network.Transport = WebSocket
			p, err := dialPipe(ctx, WebSocket, addr)
			if ctx.Err() != nil {
				return Found{}, ctx.Err()
			}
			if err != nil {
				return askRing(ctx, addr)
			}
			hello, err := legacy.NewNode(legacy.Config{Network: network, Salt: "check"}).Hello(time.Now())
			if err != nil {
				p.Close()
				continue
			}
			if body, err := say(p, hello); err == nil {
				return interpret(WebSocket, body, subnets)
			}
		}
	}
	return Found{}, fmt.Errorf("%w over WebSocket, or is of a network with another name", ErrSaysNothing)
}

// askRing asks for peers, as what may be a node of the ring of 0.4 says nothing by itself.
func askRing(ctx context.Context, addr string) (Found, error) {
	p, err := dialPipe(ctx, Plaintext, addr)
	if err != nil {
		return Found{}, err
	}
	network := legacy.Network{Kind: Chord, Version: wire.V4, Subnet: string(Chord), Transport: Plaintext, K: 6}
	n, _ := legacy.NewDHT(legacy.Config{Network: network, Salt: "check"})
	body, err := say(p, legacy.NewPacer(wire.V4, n.ID()).Question(time.Now()))
	if err != nil {
		return Found{}, ErrSaysNothing
	}
	m, err := wire.Decode(wire.V4, body)
	if err != nil || m.Sub() != wire.Peers {
		return Found{}, ErrSaysNothing
	}
	return Found{
		Transport: Plaintext, Version: wire.V4.String(), Language: wire.Python.String(), ID: m.Sender,
		Network: "chord, with any k",
	}, nil
}

// say writes one frame, and returns the first one that comes back.
func say(p pipe, body []byte) ([]byte, error) {
	if err := p.write(body); err != nil {
		p.Close()
		return nil, err
	}
	return listenTo(p)
}

// listenTo returns the first frame that comes, and leaves.
func listenTo(p pipe) ([]byte, error) {
	end := time.AfterFunc(helloDelay, func() { p.Close() })
	defer end.Stop()
	defer p.Close()
	body, err := p.read(wire.MaxGreeting)
	if err != nil {
		return nil, err
	}
	if v, g, ok := legacy.Recognize(body); ok {
		leave(p, legacy.Goodbye(v, g.Language, legacy.Mark, time.Now()))
	}
	return body, nil
}

// leave says goodbye, if there is a word for it, and waits until the other has closed.
func leave(p pipe, bye []byte) {
	if bye == nil || p.write(bye) != nil {
		return
	}
	p.closeWrite()
	for {
		if _, err := p.read(wire.MaxGreeting); err != nil {
			return
		}
	}
}

// interpret says what a handshake means. Error: ErrSaysNothing.
func interpret(t Transport, body []byte, subnets []string) (Found, error) {
	v, g, ok := legacy.Recognize(body)
	if !ok {
		return Found{}, ErrSaysNothing
	}
	e := legacy.Identify(v, g, subnets...)
	return Found{
		Transport: t, Version: e.Version, Language: g.Language.String(), ID: g.ID, Addr: g.Addr.String(),
		SubnetID: g.SubnetID, Network: e.Matches,
	}, nil
}
