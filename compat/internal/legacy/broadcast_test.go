package legacy

import (
	"bytes"
	"strings"
	"testing"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

// This node passes on what old nodes pass on. The deviations are listed here.
func TestRelay_PassesOnWhatOldNodesDo(t *testing.T) {
	deviations := map[string]string{
		"broadcast with the node's own id unknown, time 60 s old": "expired: at 60 s old nodes pass it on without end",
		"broadcast by X handed over by A":                         "A is not given back what it has handed over",
		"broadcast with B's id as sender":                         "nor here",
		"request for B's address":                                 "nor here; the answer goes to A alone",
		"same payload and time, other sender":                     "nor here",
		"whispered request star as bin":                           "answered",
	}
	var file struct {
		Rows []struct {
			Node, Case string
			Sends      string                   `json:"a_sends"`
			A          []struct{ Frame string } `json:"a_gets"`
			B          []struct{ Frame string } `json:"b_gets"`
		}
	}
	load(t, "relay.json", &file)
	cores := map[string]*rig{}
	for _, r := range file.Rows {
		version := strings.Fields(r.Node)[1]
		c := cores[r.Node]
		if c == nil {
			c = newRig(t, version, Mesh)
			cores[r.Node] = c
			language := wire.Python
			c.meet(t, "3aaaaaaaaaaaaaaa", language)
			c.meet(t, "4bbbbbbbbbbbbbbb", language)
		}
		a, b := c.members["3aaaaaaaaaaaaaaa"], c.members["4bbbbbbbbbbbbbbb"]
		c.drain(t, a)
		c.drain(t, b)
		if r.Sends == "" {
			continue // A closes
		}
		c.receive(a, body(t, r.Sends))
		toA, toB := c.drain(t, a), c.drain(t, b)
		if why := deviations[r.Case]; strings.HasPrefix(why, "expired") {
			if len(toA)+len(toB) != 0 {
				t.Errorf("%s, %s: passed on", r.Node, r.Case)
			}
			continue
		} else if why == "" && len(toA) != len(r.A) {
			t.Errorf("%s, %s: A gets %d, want %d", r.Node, r.Case, len(toA), len(r.A))
		}
		if strings.HasPrefix(r.Case, "whispered") {
			continue
		}
		var want [][]byte
		for _, f := range r.B {
			want = append(want, body(t, f.Frame))
		}
		if len(toB) != len(want) {
			t.Errorf("%s, %s: B gets %d, want %d", r.Node, r.Case, len(toB), len(want))
			continue
		}
		for i, m := range toB {
			if !bytes.Equal(m.Body, want[i]) {
				t.Errorf("%s, %s: B gets %x, want %x", r.Node, r.Case, m.Body, want[i])
			}
		}
	}
}
