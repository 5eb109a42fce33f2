package legacy

import (
	"errors"
	"fmt"
	"testing"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

// Without Autodial a node dials nobody of whom others tell.
func TestAutodial_DialsNobodyByDefault(t *testing.T) {
	c := newRig(t, "0.7", Mesh)
	var list []wire.Listed
	for i := range 20 {
		list = append(list, wire.Listed{Addr: wire.Addr{Host: "10.0.0.1", Port: 1 + i}, ID: fmt.Sprint("2id", i)})
	}
	if c.dialListed(list); len(c.out.Dials) != 0 {
		t.Errorf("%d dials that nobody has asked for", len(c.out.Dials))
	}
	c.autodial = true
	if c.dialListed(list); len(c.out.Dials) != maxOutgoing {
		t.Errorf("%d dials", len(c.out.Dials))
	}
}

// P10: what just fits as another node has said it may not fit as this one hands it on.
func TestIntroduce_DropsWhatDoesNotFit(t *testing.T) {
	for _, v := range wire.Versions {
		c := newRig(t, v.String(), Sync)
		s := c.meet(t, "2a", wire.Python)
		m := wire.New(v, wire.Broadcast, wire.Store, []byte("key"), []byte{})
		m.Sender, m.Time = "2a", frozen.Unix()
		bare, err := wire.Encode(m)
		if err != nil {
			t.Fatal(err)
		}
		m.Packets[2] = make([]byte, wire.MaxFrame-len(bare)-8)
		large, err := wire.Encode(m)
		if err != nil {
			t.Fatal(err)
		}
		c.receive(s, large)
		if len(c.dict.entries) != 1 {
			t.Fatalf("%s: it is not taken: %v", v, c.dropped)
		}
		late := c.meet(t, "2b", wire.Python)
		c.introduce(frozen, late)
		if c.dropped[DropEncoding] != 1 || late.over {
			t.Errorf("%s: %v", v, c.dropped)
		}
		if err := c.dict.write(frozen, "mine", make([]byte, wire.MaxFrame)); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v", v, err)
		}
	}
}
