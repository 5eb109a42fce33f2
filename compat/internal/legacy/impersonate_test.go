package legacy

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

// A message to a node that is not connected waits until the node is, in order, but not for ever.
func TestPostbox_MessagesWaitInOrder(t *testing.T) {
	for _, v := range wire.Versions {
		c := newRig(t, v.String(), Mesh)
		if err := c.whisperAs("3author", "5far", []any{[]byte("x")}); err != ErrNoPeers {
			t.Errorf("%s: %v", v, err)
		}
		near := c.meet(t, "4near", wire.Python)
		for i := range 3 {
			for _, to := range []string{"5far", "6nowhere"} {
				if err := c.whisperAs("3author", to, []any{fmt.Append(nil, i)}); err != nil {
					t.Fatal(err)
				}
			}
		}
		forms := map[string]int{} // a question, and how often it was asked
		var id any
		for _, m := range c.drain(t, near) {
			forms[fmt.Sprintf("%T %s", m.Args()[1], m.Args()[1])]++
			if to, _ := wire.Text(m.Args()[1]); to == "5far" {
				id = m.Args()[0]
			}
		}
		if want := map[bool]int{false: 2, true: 4}[v.Typed()]; len(forms) != want {
			t.Errorf("%s: it asks %v", v, forms)
		}
		for form, n := range forms {
			if n != 1 {
				t.Errorf("%s: it asks %d times for %s", v, n, form)
			}
		}
		answer := wire.New(v, wire.Broadcast, wire.Response, id, v.ListedArg(wire.Listed{Addr: wire.Addr{Host: "127.0.0.1", Port: 5}, ID: "5far", Bin: v.Typed()}))
		answer.Sender, answer.Time = "4near", frozen.Unix()
		b, err := wire.Encode(answer)
		if err != nil {
			t.Fatal(err)
		}
		c.receive(near, b)
		if len(c.look().Dials) != 1 || c.look().Dials[0].ID != "5far" {
			t.Errorf("%s: it dials %+v", v, c.look().Dials)
		}
		far := c.met(t, "5far", wire.Python)
		var got []string
		for _, m := range c.drain(t, far) {
			if m.Sub() == wire.Whisper {
				text, _ := wire.Text(m.Args()[0])
				got = append(got, m.Sender+" "+text)
			}
		}
		if !slices.Equal(got, []string{"3author 0", "3author 1", "3author 2"}) {
			t.Errorf("%s: it came %q", v, got)
		}
		if due := c.Deadline(); !due.Equal(frozen.Add(requestTime)) {
			t.Errorf("%s: the others are due at %v", v, due)
		}
		c.gather(c.Advance(frozen.Add(requestTime)))
		if len(c.postbox.parked) != 0 || c.dropped[DropNoWay] != 3 {
			t.Errorf("%s: %d wait, dropped %v", v, len(c.postbox.parked), c.dropped)
		}
		for range maxParked {
			if err := c.whisperAs("3author", "7nowhere", []any{[]byte("x")}); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.whisperAs("3author", "7nowhere", []any{[]byte("x")}); err == nil {
			t.Errorf("%s: more than %d wait", v, maxParked)
		}
	}
}

// A write in the name of an old node reaches that node, also if it is behind others. No node has to compare owners of
// py and js.
func TestWriteAs_ReachesOwnersBehindOthers(t *testing.T) {
	for _, v := range wire.Versions {
		c := newRig(t, v.String(), Sync)
		d := c.dict
		near := c.meet(t, "4near", wire.Python)
		for i, e := range []Entry{{Owner: "5far"}, {Owner: "6far", OwnerText: true}, {Owner: "4near"}, {Owner: GhostID("native", c.net.Subnet)}} {
			key := fmt.Sprint("key ", i)
			e.Value, e.Time = []byte("x"), frozen.Unix()-5
			if err := d.mirror(frozen, key, e); err != nil {
				t.Fatal(err)
			}
			d.sendToOwner(frozen, key, e)
			m := c.drain(t, near)[0]
			if m.Sender != e.Owner || v.Typed() && m.SenderBin == e.OwnerText || d.entries[key].Time != m.Time {
				t.Errorf("%s: %+v", v, m)
			}
			if ahead := m.Time - frozen.Unix(); !v.Typed() || IsGhost(e.Owner) {
				if m.Time != e.Time {
					t.Errorf("%s: %s says it at %d", v, e.Owner, ahead)
				}
			} else if ahead < 2 || ahead > 3 || (m.Time%2 == 0) != e.OwnerText {
				t.Errorf("%s: %s says it %d s ahead", v, e.Owner, ahead)
			}
		}
		var waits []string
		for _, r := range c.postbox.parked {
			waits = append(waits, r.m.Sender+" to "+r.to)
		}
		if !slices.Equal(waits, []string{"5far to 5far", "6far to 6far"}) {
			t.Errorf("%s: %q wait", v, waits)
		}
		if keys := d.GhostKeys(); !slices.Equal(keys, []string{"key 3"}) {
			t.Errorf("%s: %q came over a bridge", v, keys)
		}
		silent := 0
		for i := range 200 {
			if _, err := d.writeAs(frozen, "again", Entry{Value: []byte("x"), Owner: "6far", OwnerText: true, Time: frozen.Unix()}); err != nil {
				t.Fatal(err)
			}
			if n := len(c.drain(t, near)); i < 10 && n != 1 || i > 100 && n != 0 {
				t.Errorf("%s: what it says for time %d is sent %d times", v, i, n)
			} else {
				silent += 1 - n
			}
		}
		if c.dropped[DropOften] != uint64(silent) {
			t.Errorf("%s: not sent %d times, dropped %v", v, silent, c.dropped)
		}
		if _, err := d.Mirror(frozen, "key 0", Entry{}, Entry{Value: []byte("y"), Owner: "5far", Time: 1}); err != ErrChanged || len(c.drain(t, near)) != 0 {
			t.Errorf("%s: it writes what has changed since: %v", v, err)
		}
		if len(c.drain(t, near)) != 0 || !c.Deadline().Equal(frozen.Add(quietTime)) {
			t.Errorf("%s: it asks where they are at %v", v, c.Deadline())
		}
		c.gather(c.Advance(frozen.Add(quietTime)))
		if n := len(c.drain(t, near)); n != map[bool]int{false: 2, true: 4}[v.Typed()] || !c.Deadline().Equal(frozen.Add(requestTime)) {
			t.Errorf("%s: it asks %d times where they are, and is due at %v", v, n, c.Deadline())
		}
		d.sendToOwner(frozen, "key 0", Entry{Value: DeleteValue(v), Owner: "7far"})
		if len(c.postbox.parked) != 2 {
			t.Errorf("%s: a delete waits", v)
		}
		for _, change := range c.look().Changes {
			t.Errorf("%s: what it says itself is news to it: %+v", v, change)
		}
	}
}

// A bridge is told of the writes that this node has not accepted, and of their writers.
func TestConflict_NamesTheWriterOfARefusedWrite(t *testing.T) {
	for _, v := range wire.Versions {
		c := newRig(t, v.String(), Sync)
		d := c.dict
		s := c.meet(t, "4near", wire.Python)
		d.apply("key", Entry{Value: []byte("x"), Owner: GhostID("native", c.net.Subnet), Time: frozen.Unix()})
		at := any([]byte(wire.TimeText(frozen.Unix() + 7)))
		if v == wire.V7 {
			at = frozen.Unix() + 7
		}
		for _, w := range []struct {
			sender string
			args   []any
			lost   bool
		}{
			{"5far", []any{[]byte("key"), []byte("y")}, true},
			{GhostID("another", c.net.Subnet), []any{[]byte("key"), []byte("y")}, false},
			{"4near", []any{[]byte("key"), []byte("z"), []byte("5far"), at}, true},
			{"4near", []any{[]byte("key"), []byte("x"), []byte("5far"), at}, false},
		} {
			m := wire.New(v, wire.Broadcast, wire.Store, w.args...)
			m.Sender, m.SenderBin, m.Time = w.sender, true, frozen.Unix()+7
			d.handle(frozen, s, m)
			var lost []string
			for _, w := range c.look().Conflicts {
				lost = append(lost, w.Sender)
			}
			c.done.Conflicts = nil
			if want := map[bool][]string{true: {"5far"}}[w.lost]; !slices.Equal(lost, want) {
				t.Errorf("%s: %s with %q: %v have lost", v, w.sender, w.args, lost)
			}
		}
	}
}

// py is spared a write of the second in which another has written whose ID travels otherwise.
func TestRefuses_PyGetsNoWriteOfTheSameSecond(t *testing.T) {
	for _, v := range wire.Versions {
		c := newRig(t, v.String(), Sync)
		d := c.dict
		d.apply("key", Entry{Value: []byte("x"), Owner: "3py", Time: frozen.Unix()})
		d.apply("map", Entry{Value: wire.Map{}, Owner: "3py", Time: frozen.Unix()})
		writes := []*wire.Message{wire.New(v, wire.Broadcast, wire.Store, []byte("key"), []byte("y"))}
		if v == wire.V7 {
			writes = append(writes, wire.New(v, wire.Broadcast, wire.Delta, []byte("map"), wire.Map{}))
		}
		for _, m := range writes {
			for _, language := range []wire.Language{wire.Python, wire.JavaScript} {
				for _, bin := range []bool{false, true} {
					for _, later := range []time.Duration{0, time.Second} {
						m.SenderBin, m.Time = bin, frozen.Add(later).Unix()
						want := Drop(0)
						if v.Typed() && language == wire.Python && !bin && later == 0 {
							want = DropConflict
						}
						s := c.meet(t, "4other", language)
						if got := d.refuses(s, m); got != want {
							t.Errorf("%s: %v, bin %v, %v later: %s", v, language, bin, later, got)
						}
						c.gather(c.Closed(frozen, s, nil))
					}
				}
			}
		}
	}
}
