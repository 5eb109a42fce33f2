package compat

import (
	"fmt"
	"slices"
	"testing"

	"github.com/p2p-today/go2p/internal/oldpeers"
)

// Old py nodes lose each other when one of them loses a connection. Who looks at one, is
// refused by them or leaves does them no harm.
func TestOldLeave_HarmsNoNetwork(t *testing.T) {
	for _, l := range []struct {
		version   string
		kind      Kind
		transport Transport
	}{
		{"0.4", Mesh, Plaintext}, {"0.5", Mesh, Plaintext}, {"0.6", Mesh, Plaintext}, {"0.7", Mesh, Plaintext},
		{"0.6", Mesh, SSL}, {"0.7", Mesh, SSL}, {"0.7", Sync, Plaintext}, {"0.7", Chord, Plaintext},
	} {
		t.Run(fmt.Sprint(l), func(t *testing.T) {
			t.Parallel()
			oldpeers.Needs(t, "py", l.version)
			host := oldpeers.OwnHost()
			oldpeers.FreePort(t, host)
			opts := Options{Kind: l.kind, Version: l.version, Transport: l.transport, Listen: host + ":0"}
			olds := triangle(t, opts)
			unharmed := func(what string) {
				t.Helper()
				for round := range 2 { // what a request for peers does shows in the second
					for i, o := range olds {
						text := fmt.Sprintf("after %s %d %d", what, round, i)
						o.Must("send", map[string]any{"packets": []any{text}})
						olds[(i+1)%3].Message(text)
						olds[(i+2)%3].Message(text)
					}
				}
				for i, o := range olds {
					if peers := o.Peers(); !slices.Contains(peers, olds[(i+1)%3].ID) || !slices.Contains(peers, olds[(i+2)%3].ID) {
						t.Errorf("after %s: node %d is connected with %v", what, i, peers)
					}
				}
			}
			unharmed("nothing")
			if _, err := Check(t.Context(), olds[0].Addr); err != nil {
				t.Fatal(err)
			}
			unharmed("a look")
			other := opts
			other.Subnet = "other"
			if err := open(t, other).Connect(t.Context(), olds[0].Addr); err == nil {
				t.Error("it is of another network")
			}
			unharmed("a refusal")
			other = opts
			switch {
			case l.kind == Chord: // which in 0.4 need not say who it is
				other.Version = "0.6"
			case l.version == "0.4":
				other.Version = "0.7"
			default:
				other.Version = "0.4"
			}
			if err := open(t, other).Connect(t.Context(), olds[0].Addr); err == nil {
				t.Error("it is of another version")
			}
			unharmed("a refusal by another version")
			n := open(t, opts)
			for _, o := range olds {
				connectPair2(t, n, o)
			}
			unharmed("a visit")
			n.Close()
			unharmed("the end of it")
		})
	}
}

// triangle starts three old nodes, each connected with the others.
func triangle(t *testing.T, opts Options) (olds []*oldpeers.Node) {
	t.Helper()
	for range 3 {
		o := oldpeers.Start(t, "py", opts.Version, map[string]any{"kind": string(opts.Kind), "encryption": string(opts.Transport)})
		for i, other := range olds {
			if i == 0 || opts.Version == "0.6" { // elsewhere the first tells it of the second
				o.Connect(other.Addr)
			}
			eventually(t, "connected", func() bool { return slices.Contains(o.Peers(), other.ID) && slices.Contains(other.Peers(), o.ID) })
		}
		olds = append(olds, o)
	}
	return olds
}
