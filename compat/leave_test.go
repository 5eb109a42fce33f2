package compat

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

// Who is left is told so, in its version, but not js and not who has not said who it is; and
// who is told so ends without another word.
func TestLeave(t *testing.T) {
	bye := func(v wire.Version) []byte { return farewell(v, wire.Python, "3someone", frozen) }
	for _, v := range wire.Versions {
		c := member(t, v.String(), Mesh, 0)
		for language, want := range map[wire.Language]int{wire.Python: 1, wire.JavaScript: 0, wire.Unsaid: 1} {
			s := c.meet(t, "3aaaaaaaaaaaaaaa", language)
			s.peer.Language = language
			c.drain(t, s)
			s.shut(frozen, errLeft)
			s.shut(frozen, errLeft)
			if told := c.drain(t, s); len(told) != want || want > 0 && !parts(told[0]) || len(c.out.shut) != 1 {
				t.Errorf("%s, language %d: is told %v, ends %d times", v, language, told, len(c.out.shut))
			}
			c.closed(frozen, s, errLeft)
			c.out = effects{}
		}
		unknown := c.open(frozen, false, "127.0.0.1:2")
		unknown.shut(frozen, errLeft)
		if told := c.drain(t, unknown); len(told) > 0 {
			t.Errorf("%s: nobody is told %v", v, told)
		}
		c.out = effects{}
		s := c.meet(t, "3aaaaaaaaaaaaaaa", wire.Python)
		c.drain(t, s)
		s.receive(frozen, bye(v))
		if told := c.drain(t, s); len(told) > 0 || len(c.out.shut) != 1 || !errors.Is(c.out.shut[0].why, io.EOF) {
			t.Errorf("%s: says %v to who leaves, and ends %v", v, told, c.out.shut)
		}
		for _, other := range wire.Versions {
			if g, _, ok := recognize(bye(other)); !ok || g.Typed() != other.Typed() || !other.Typed() && g != other {
				t.Errorf("%s is taken for %s", other, g)
			}
			if other.Typed() == v.Typed() && (v.Typed() || other == v) {
				continue
			}
			c := member(t, v.String(), Mesh, 0)
			s := c.open(frozen, true, "127.0.0.1:2")
			s.receive(frozen, bye(other)) // any handshake does
			if len(c.out.frames) != 1 || len(c.out.shut) != 1 {
				t.Fatalf("%s refuses %s: %d frames", v, other, len(c.out.frames))
			}
			if told, err := wire.Decode(other, c.out.frames[0].body); err != nil || !parts(told) {
				t.Errorf("%s refuses %s: %v", v, other, err)
			}
		}
	}
}

// Who is connected is found at the address where it listens, until that ends.
func TestAt(t *testing.T) {
	c := member(t, "0.7", Mesh, 0)
	s := c.meet(t, "3aaaaaaaaaaaaaaa", wire.Python)
	if c.at("127.0.0.1:1") != s || c.at("127.0.0.1:2") != nil || c.at("") != nil {
		t.Error("not found where it listens, or elsewhere")
	}
	s.shut(frozen, errLeft)
	if c.at("127.0.0.1:1") != nil {
		t.Error("found when it has ended")
	}
}

// Old py nodes lose each other when one of them loses a connection. Who looks at one, is
// refused by them or leaves does them no harm.
func TestOldLeave(t *testing.T) {
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
			needs(t, "py", l.version)
			host := ownHost()
			freePort(t, host)
			opts := Options{Kind: l.kind, Version: l.version, Transport: l.transport, Listen: host + ":0"}
			olds := triangle(t, opts)
			unharmed := func(what string) {
				t.Helper()
				for round := range 2 { // what a request for peers does shows in the second
					for i, o := range olds {
						text := fmt.Sprintf("after %s %d %d", what, round, i)
						o.must("send", map[string]any{"packets": []any{text}})
						olds[(i+1)%3].message(text)
						olds[(i+2)%3].message(text)
					}
				}
				for i, o := range olds {
					if peers := o.peers(); !slices.Contains(peers, olds[(i+1)%3].id) || !slices.Contains(peers, olds[(i+2)%3].id) {
						t.Errorf("after %s: node %d is connected with %v", what, i, peers)
					}
				}
			}
			unharmed("nothing")
			if _, err := Check(t.Context(), olds[0].addr); err != nil {
				t.Fatal(err)
			}
			unharmed("a look")
			other := opts
			other.Subnet = "other"
			if err := open(t, other).Connect(t.Context(), olds[0].addr); err == nil {
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
			if err := open(t, other).Connect(t.Context(), olds[0].addr); err == nil {
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
func triangle(t *testing.T, opts Options) (olds []*old) {
	t.Helper()
	for range 3 {
		o := startOld(t, "py", opts.Version, map[string]any{"kind": string(opts.Kind), "encryption": string(opts.Transport)})
		for i, other := range olds {
			if i == 0 || opts.Version == "0.6" { // elsewhere the first tells it of the second
				o.connect(other.addr)
			}
			eventually(t, "connected", func() bool { return slices.Contains(o.peers(), other.id) && slices.Contains(other.peers(), o.id) })
		}
		olds = append(olds, o)
	}
	return olds
}
