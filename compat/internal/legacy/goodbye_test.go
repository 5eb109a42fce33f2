package legacy

import (
	"errors"
	"io"
	"testing"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

var errLeft = errors.New("left")

// A node says goodbye in the version of the other, but not to js, and not to a node that has not said who it is. A
// node that is told goodbye ends without another word.
func TestGoodbye_OnlyPyIsToldOfTheEnd(t *testing.T) {
	bye := func(v wire.Version) []byte { return Goodbye(v, wire.Python, "3someone", frozen) }
	for _, v := range wire.Versions {
		c := newRig(t, v.String(), Mesh)
		for language, want := range map[wire.Language]int{wire.Python: 1, wire.JavaScript: 0, wire.Unsaid: 1} {
			s := c.meet(t, "3aaaaaaaaaaaaaaa", language)
			s.peer.Language = language
			c.drain(t, s)
			c.gather(c.Shut(frozen, s, errLeft))
			c.gather(c.Shut(frozen, s, errLeft))
			if told := c.drain(t, s); len(told) != want || want > 0 && !parts(told[0]) || len(c.done.Endings) != 1 {
				t.Errorf("%s, language %d: is told %v, ends %d times", v, language, told, len(c.done.Endings))
			}
			c.gather(c.Closed(frozen, s, errLeft))
			c.done = Effects{}
		}
		unknown := c.open(false)
		c.gather(c.Shut(frozen, unknown, errLeft))
		if told := c.drain(t, unknown); len(told) > 0 {
			t.Errorf("%s: nobody is told %v", v, told)
		}
		c.done = Effects{}
		s := c.meet(t, "3aaaaaaaaaaaaaaa", wire.Python)
		c.drain(t, s)
		c.receive(s, bye(v))
		if told := c.drain(t, s); len(told) > 0 || len(c.done.Endings) != 1 || !errors.Is(c.done.Endings[0].Why, io.EOF) {
			t.Errorf("%s: says %v to a node that leaves, and ends %v", v, told, c.done.Endings)
		}
		for _, other := range wire.Versions {
			if g, _, ok := Recognize(bye(other)); !ok || g.Typed() != other.Typed() || !other.Typed() && g != other {
				t.Errorf("%s is taken for %s", other, g)
			}
			if other.Typed() == v.Typed() && (v.Typed() || other == v) {
				continue
			}
			c := newRig(t, v.String(), Mesh)
			s := c.open(true)
			c.receive(s, bye(other)) // any handshake does
			if len(c.done.Frames) != 1 || len(c.done.Endings) != 1 {
				t.Fatalf("%s refuses %s: %d frames", v, other, len(c.done.Frames))
			}
			if told, err := wire.Decode(other, c.done.Frames[0].Body); err != nil || !parts(told) {
				t.Errorf("%s refuses %s: %v", v, other, err)
			}
		}
	}
}

// A node that is connected is found at the address where it listens, until its session ends.
func TestTable_FindsSessionsByAddress(t *testing.T) {
	c := newRig(t, "0.7", Mesh)
	s := c.meet(t, "3aaaaaaaaaaaaaaa", wire.Python)
	if c.SessionAt("127.0.0.1:1") != s || c.SessionAt("127.0.0.1:2") != nil || c.SessionAt("") != nil {
		t.Error("not found where it listens, or elsewhere")
	}
	c.gather(c.Shut(frozen, s, errLeft))
	if c.SessionAt("127.0.0.1:1") != nil {
		t.Error("found when it has ended")
	}
}
