package legacy

import (
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

// hashed is a key and what one hash makes of it.
type hashed struct {
	Key     string
	Repeat  []any `json:"key_repeat"`
	Method  string
	WireKey string `json:"wire_key"`
}

func (h hashed) key(t testing.TB) string {
	t.Helper()
	if len(h.Repeat) == 2 {
		return strings.Repeat(unhex(t, h.Repeat[0].(string)), int(h.Repeat[1].(float64)))
	}
	return unhex(t, h.Key)
}

// The ring of 0.4.
func TestRing_IsThatOf04(t *testing.T) {
	var file struct {
		IDs []struct {
			K      int
			FullID string `json:"full_id"`
			ID     string
			Subnet string `json:"subnet_on_the_wire"`
		}
		Positions []struct {
			hashed
			Position map[string]int64
		} `json:"key_positions"`
		Fingers []struct {
			K, Self int
			Peers   []int64       `json:"peers_in_order"`
			Table   map[int]int64 `json:"finger_table"`
			Find    []int64
		}
		Majority []struct {
			Values []string
			Picked string
			Count  int
			Result string `json:"lookup_result"`
		}
	}
	load(t, "chord-0.4.json", &file)
	for _, r := range file.IDs {
		full, err := wire.ParseBase58(r.FullID)
		if err != nil {
			t.Fatal(err)
		}
		if got := wire.Base58(ring(r.K).reduce(full).Bytes()); got != r.ID {
			t.Errorf("k %d: %s is %s, want %s", r.K, r.FullID, got, r.ID)
		}
		n := Network{Kind: Chord, Version: wire.V4, Subnet: string(Chord), Transport: Plaintext, K: r.K}
		if got := n.ID(); got != r.Subnet {
			t.Errorf("k %d: subnet %s, want %s", r.K, got, r.Subnet)
		}
	}
	for _, r := range file.Positions {
		for i, pl := range ring(6).places(r.key(t)) {
			if pl.method != r.Method {
				continue
			}
			if pl.key != r.WireKey {
				t.Errorf("%q %s: %s, want %s", r.Key, r.Method, pl.key, r.WireKey)
			}
			for k, want := range r.Position {
				var bits uint
				fmt.Sscan(k, &bits)
				n, _ := wire.ParseBase58(pl.key)
				if got := ring(bits).reduce(n).Int64(); got != want {
					t.Errorf("%q %s k %s: at %d, want %d (%d)", r.Key, r.Method, k, got, want, i)
				}
			}
		}
	}
	// The originals ask their fingers; a node of this library asks the nearest of all that it
	// is connected with, which is never farther.
	for i, r := range file.Fingers {
		ring := ring(r.K)
		all := []*big.Int{big.NewInt(int64(r.Self))}
		for _, p := range r.Peers {
			all = append(all, big.NewInt(p))
		}
		fingers := []*big.Int{all[0]}
		for _, x := range slices.Sorted(maps.Keys(r.Table)) {
			fingers = append(fingers, big.NewInt(r.Table[x]))
		}
		for p, want := range r.Find {
			goal := big.NewInt(int64(p))
			if n := fingers[ring.nearest(fingers, goal)].Int64(); n != want {
				t.Errorf("row %d: of its fingers %d is nearest to %d, want %d", i, n, p, want)
			}
			if n := all[ring.nearest(all, goal)]; ring.distance(n, goal).Cmp(ring.distance(big.NewInt(want), goal)) > 0 {
				t.Errorf("row %d: %d is asked for %d, which is farther than %d", i, n, p, want)
			}
		}
	}
	for i, r := range file.Majority {
		l := &Lookup{until: frozen.Add(LookupTime)}
		for j, v := range r.Values {
			switch v {
			case "pending":
			case "":
				l.answer(j, nil)
			default:
				l.answer(j, []byte(v))
			}
		}
		l.advance(frozen, wire.V4)
		got := "wait"
		if l.over && l.err != nil {
			got = "KeyError"
		} else if l.over {
			got = "value"
		}
		if got != r.Result {
			t.Errorf("row %d: %v is %s, want %s", i, r.Values, got, r.Result)
		}
	}
}

// The ring of 0.5 to 0.7.
func TestRing_IsThatOf05To07(t *testing.T) {
	var file struct {
		Positions []struct {
			hashed
			Ring string `json:"ring_position_hex"`
		} `json:"key_positions"`
		Distance []struct{ From, To, Distance string }
		Routing  []struct {
			Self     string
			Leeching bool `json:"self_leeching"`
			Peers    []struct {
				ID       string
				Leeching bool
			}
			Find     []struct{ Key, Node string }
			HandOver struct {
				Peer        string
				Held, Given []string
			}
		}
	}
	load(t, "chord-ring.json", &file)
	ring := ring(ringBits)
	for _, r := range file.Positions {
		for _, pl := range ring.places(r.key(t)) {
			n, _ := wire.ParseBase58(pl.key)
			if pl.method == r.Method && (pl.key != r.WireKey || fmt.Sprintf("%096x", ring.reduce(n)) != r.Ring) {
				t.Errorf("%q %s: %s", r.Key, r.Method, pl.key)
			}
		}
	}
	number := func(s string) *big.Int {
		n, ok := new(big.Int).SetString(s, 10)
		if !ok {
			n, ok = new(big.Int).SetString(s, 16)
		}
		if !ok {
			t.Fatalf("no number: %s", s)
		}
		return n
	}
	for _, r := range file.Distance {
		if got := ring.distance(number(r.From), number(r.To)); got.Cmp(number(r.Distance)) != 0 {
			t.Errorf("from %s to %s is %v", r.From, r.To, got)
		}
	}
	for i, r := range file.Routing {
		c := newRig(t, "0.7", Chord)
		sp := c.dht
		c.id = r.Self
		sp.self, _ = wire.ParseBase58(r.Self)
		sp.stores = !r.Leeching
		for _, p := range r.Peers {
			c.meet(t, p.ID, wire.Python).stores = !p.Leeching
		}
		for _, f := range r.Find {
			n, _ := wire.ParseBase58(f.Key)
			s, known := sp.find(n)
			got := "self"
			if s != nil {
				got = s.peer.ID
			} else if !known {
				got = ""
			}
			if got != f.Node && (f.Node != "" || known) {
				t.Errorf("row %d: %s is at %q, want %q", i, f.Key, got, f.Node)
			}
		}
		if r.Leeching || r.HandOver.Peer == "" {
			continue
		}
		for _, key := range r.HandOver.Held {
			sp.copies.at[place{"sha1", key}] = []byte("v")
		}
		s := c.meet(t, r.HandOver.Peer, wire.Python)
		sp.handOver(frozen, s)
		var given []string
		for _, m := range c.drain(t, s) {
			if m.Sub() == wire.Store {
				key, _ := wire.Text(m.Args()[1])
				given = append(given, key)
			}
		}
		slices.Sort(given)
		slices.Sort(r.HandOver.Given)
		if !slices.Equal(given, r.HandOver.Given) {
			t.Errorf("row %d: %v are handed over, want %v", i, given, r.HandOver.Given)
		}
	}
}
