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
	Version   string // "0.6 or 0.7" if its network has none of the names: their messages are alike
	Language  string // py or js, or empty if it does not show
	ID        string
	Addr      string // host:port at which it says that it listens
	SubnetID  string // of its network, as it travels
	Network   string // which that is, if it has one of the usual names, or one that was tried
}

// ErrSaysNothing is for what is there but says nothing that an old node would.
var ErrSaysNothing = errors.New("it says nothing that an old node would")

// Check finds out what speaks at an address, host:port, without harm to it and its network:
// old js nodes do not survive the words of another version, so that it listens before it says
// anything, and old py nodes no plain end of a connection, so that it says goodbye.
// Names of networks may be given beside those that the old libraries have by default.
// Errors: ErrSaysNothing, those of dialling, the context's.
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
	// Who speaks at once is found by listening. What TLS and WebSocket begin with is, to an
	// old node that does not speak them, the length of a frame that never comes.
	for _, t := range []Transport{Plaintext, SSL} {
		p, err := dial(ctx, t, addr)
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
			p, err := dial(ctx, WebSocket, addr)
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

// askRing asks what may be a node of the ring of 0.4, which says nothing by itself, for its
// peers.
func askRing(ctx context.Context, addr string) (Found, error) {
	p, err := dial(ctx, Plaintext, addr)
	if err != nil {
		return Found{}, err
	}
	n, _ := legacy.NewDHT(legacy.Config{Network: legacy.Network{Kind: Chord, Version: wire.V4, Subnet: string(Chord), Transport: Plaintext, K: 6}, Salt: "check"})
	body, err := say(p, legacy.NewPacer(wire.V4, n.ID()).Question(time.Now()))
	if err != nil {
		return Found{}, ErrSaysNothing
	}
	m, err := wire.Decode(wire.V4, body)
	if err != nil || m.Sub() != wire.Peers {
		return Found{}, ErrSaysNothing
	}
	return Found{Transport: Plaintext, Version: wire.V4.String(), Language: wire.Python.String(), ID: m.Sender, Network: "chord, with any k"}, nil
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

// interpret says what first words mean.
func interpret(t Transport, body []byte, subnets []string) (Found, error) {
	v, g, ok := legacy.Recognize(body)
	if !ok {
		return Found{}, ErrSaysNothing
	}
	e := legacy.Identify(v, g, subnets...)
	return Found{
		Transport: t, Version: e.Version, Language: g.Language.String(), ID: g.ID, Addr: g.Addr.String(), SubnetID: g.SubnetID, Network: e.Matches,
	}, nil
}
