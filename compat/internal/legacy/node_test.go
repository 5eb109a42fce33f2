package legacy

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

// frozen is the time of the golden data.
var frozen = time.Unix(1480000000, 0)

// load reads a file of golden data, which the original nodes have made.
func load(t testing.TB, name string, into any) {
	t.Helper()
	b, err := os.ReadFile("../../testdata/vectors/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatal(err)
	}
}

func body(t testing.TB, frame string) []byte {
	t.Helper()
	b, err := hex.DecodeString(frame)
	if err != nil || len(b) < 4 {
		t.Fatalf("frame %q: %v", frame, err)
	}
	return b[4:]
}

func unhex(t testing.TB, text string) string {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

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

// A rig is a node without a network, and what it has wanted done since that was last looked at.
type rig struct {
	*Node
	dict *SyncMap
	dht  *DHT
	done Effects
}

// newRig makes a node.
func newRig(t testing.TB, version string, kind Kind) *rig {
	t.Helper()
	v, err := wire.ParseVersion(version)
	if err != nil {
		t.Fatal(err)
	}
	return rigIn(Network{Kind: kind, Version: v, Subnet: string(kind), Transport: Plaintext, K: 6})
}

func rigIn(n Network) *rig {
	r := &rig{}
	cfg := Config{Network: n, Addr: wire.Addr{Host: "127.0.0.1", Port: 1}, Salt: "salt", HelloDelay: 2 * time.Second}
	switch n.Kind {
	case Sync:
		r.Node, r.dict = NewSyncMap(cfg)
	case Chord:
		r.Node, r.dht = NewDHT(cfg)
	default:
		r.Node = NewNode(cfg)
	}
	return r
}

// gather adds what a call has wanted done.
func (r *rig) gather(out Effects) {
	r.done.Frames = append(r.done.Frames, out.Frames...)
	r.done.Endings = append(r.done.Endings, out.Endings...)
	r.done.Dials = append(r.done.Dials, out.Dials...)
	r.done.Changes = append(r.done.Changes, out.Changes...)
	r.done.Conflicts = append(r.done.Conflicts, out.Conflicts...)
}

// look gathers, too, what a part of the node has wanted done that was called by itself.
func (r *rig) look() *Effects {
	r.gather(r.take())
	return &r.done
}

// drain are the frames that a node wants sent to a session since the last call, decoded.
func (r *rig) drain(t testing.TB, s *Session) (list []*wire.Message) {
	t.Helper()
	var rest []Frame
	for _, f := range r.look().Frames {
		if f.To != s {
			rest = append(rest, f)
			continue
		}
		m, err := wire.Decode(r.net.Version, f.Body)
		if err != nil {
			t.Fatalf("it sends what is wrong: %v", err)
		}
		list = append(list, m)
	}
	r.done.Frames = rest
	return list
}

// open begins a session.
func (r *rig) open(outgoing bool) *Session {
	s, out := r.Open(frozen, outgoing, "127.0.0.1:2")
	r.gather(out)
	return s
}

// receive has a session say something.
func (r *rig) receive(s *Session, body []byte) { r.gather(r.Receive(frozen, s, body)) }

// whisperAs whispers on behalf of a sender.
func (r *rig) whisperAs(sender, to string, packets []any) error {
	out, err := r.WhisperAs(frozen, sender, to, packets)
	r.gather(out)
	return err
}

// meet connects a session that has greeted, and has read what it is told then.
func (r *rig) meet(t testing.TB, id string, language wire.Language) *Session {
	t.Helper()
	s := r.met(t, id, language)
	r.drain(t, s)
	return s
}

// met connects one that has not read it.
func (r *rig) met(t testing.TB, id string, language wire.Language) *Session {
	t.Helper()
	s := r.open(false)
	g := wire.Greeting{ID: id, SubnetID: r.subnetID, Addr: wire.Addr{Host: "127.0.0.1", Port: 1}}
	m := wire.New(r.net.Version, wire.Whisper, wire.Handshake, r.net.Version.GreetingArgs(g)...)
	m.Sender, m.Time = id, frozen.Unix()
	b, err := wire.Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	r.receive(s, b)
	if !s.greeted {
		t.Fatalf("not greeted: %v", r.done.Endings)
	}
	s.peer.Language = language
	return s
}

// What becomes of a store, by the rule of each version as its py nodes have it.
func TestLeaseRule(t *testing.T) {
	var file struct {
		Now  int64
		Rows []struct {
			Leasing  bool
			Existing *struct {
				Owner string
				Time  int64
			}
			Incoming struct {
				Owner, Data, Via string
				Time             int64
			}
			Outcome map[string]string
		}
	}
	load(t, "sync-lease.json", &file)
	rows := 0
	for i, r := range file.Rows {
		for _, v := range wire.Versions {
			want := ""
			for who, what := range r.Outcome {
				if slices.Contains(strings.Fields(who), "py"+v.String()) {
					want, _, _ = strings.Cut(what, ";")
				}
			}
			if want == "" {
				continue
			}
			rows++
			c := newRig(t, v.String(), Sync)
			d := c.dict
			d.leasing = r.Leasing
			s := c.meet(t, "2peer", wire.Python)
			store := func(owner, via string, value any, at int64) {
				m := wire.New(v, wire.Broadcast, wire.Store, []byte("key"), value)
				if m.Sender = owner; via == "snapshot" {
					var when any = []byte(wire.TimeText(at))
					if v == wire.V7 {
						when = at
					}
					m = wire.New(v, wire.Whisper, wire.Store, []byte("key"), value, []byte(owner), when)
					m.Sender = "2peer"
				}
				m.Time, m.SenderBin = at, v.Typed()
				if via == "snapshot" {
					m.Time = file.Now
				}
				d.handle(time.Unix(file.Now, 0), s, m)
			}
			if r.Existing != nil {
				d.apply("key", Entry{Value: []byte("old"), Owner: r.Existing.Owner, Time: r.Existing.Time})
			}
			var value any = []byte("new")
			switch r.Incoming.Data {
			case "empty":
				value = []byte{}
			case "nil":
				value = nil
			}
			store(r.Incoming.Owner, r.Incoming.Via, value, r.Incoming.Time)
			e, held := d.entries["key"]
			got := "stored"
			text, _ := wire.Text(e.Value)
			switch {
			case !held:
				got = "absent"
			case text == "old":
				got = "kept old"
			case e.Value == nil:
				got = "stored nil"
			case text == "":
				got = "stored empty"
			}
			if want == "raises KeyError" {
				want = "absent" // of a key that is not there, and this node stays connected
			}
			if got != want {
				t.Errorf("row %d, %s: %+v on %+v is %s, want %s", i, v, r.Incoming, r.Existing, got, want)
			}
		}
	}
	if rows < 500 {
		t.Errorf("%d rows only", rows)
	}
}

// The ring of 0.4.
func TestNarrowRing(t *testing.T) {
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
func TestWideRing(t *testing.T) {
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

// What a node is told that connects as the old ones do, and what this node takes of what
// they say: each first word of theirs is understood, and answered once.
func TestHandshakes(t *testing.T) {
	var file struct {
		Rows []struct {
			Node, Socket string
			Sent         []struct{ Frame string } `json:"sent_on_accept"`
			Reply        []struct{ Frame string }
		}
	}
	load(t, "handshakes.json", &file)
	for _, r := range file.Rows {
		name := r.Node + " " + r.Socket
		version := strings.Fields(r.Node)[1]
		kind := Kind(strings.TrimSuffix(r.Socket, "seed"))
		if kind == "ford" {
			kind = Mesh
		}
		v, err := wire.ParseVersion(version)
		if err != nil {
			t.Fatal(err)
		}
		network := Network{Kind: kind, Version: v, Subnet: strings.TrimSuffix(r.Socket, "seed"), Transport: Plaintext, K: 3}
		c := rigIn(network)
		for _, outgoing := range []bool{true, false} {
			s := c.open(outgoing)
			for _, f := range append(r.Sent, r.Reply...) {
				c.receive(s, body(t, f.Frame))
			}
			if len(c.done.Endings) > 0 || !s.greeted || !s.spoken {
				t.Errorf("%s: greeted %v, spoken %v, %v", name, s.greeted, s.spoken, c.done.Endings)
				c.done.Endings = nil
			}
			if want := strings.Fields(r.Node)[0]; s.peer.Language.String() != want {
				t.Errorf("%s is %s", name, s.peer.Language)
			}
			greetings := 0
			for _, m := range c.drain(t, s) {
				if isGreeting(m) {
					greetings++
				}
			}
			if greetings != 1 {
				t.Errorf("%s is greeted %d times", name, greetings)
			}
			c.Closed(frozen, s, errLeft)
		}
		// One of another network is told nothing but, if it is py, goodbye.
		network.Subnet = "another"
		c = rigIn(network)
		s := c.open(true)
		for _, f := range append(r.Sent, r.Reply...) {
			c.receive(s, body(t, f.Frame))
		}
		var refused *RefusedError
		if len(c.done.Endings) != 1 || !errors.As(c.done.Endings[0].Why, &refused) || refused.Matches == "" || refused.Version != version {
			t.Errorf("%s: of another network: %v", name, c.done.Endings)
		}
		if told := c.drain(t, s); c.net.Kind == Chord && v == wire.V4 {
			continue
		} else if s.peer.Language == wire.JavaScript && len(told) > 0 {
			t.Errorf("%s: is told %v", name, told[0])
		} else if s.peer.Language == wire.Python && (len(told) != 1 || !parts(told[0])) {
			t.Errorf("%s: is told %v", name, told)
		}
	}
	if len(file.Rows) == 0 {
		t.Error("no rows")
	}
}

// parts tells whether a message is the last one.
func parts(m *wire.Message) bool {
	g, err := m.Version.ParseGreeting(m.Args())
	return err == nil && m.Sub() == wire.Handshake && g.SubnetID == nowhere
}

// What the old nodes pass on this one does, but for what is said here.
func TestRelay(t *testing.T) {
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

// Without Autodial a node dials nobody of whom others tell.
func TestDialsOfOthers(t *testing.T) {
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
func TestHandingOnWhatIsTooLarge(t *testing.T) {
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

// Nobody may hold a connection without saying who it is.
func TestSilent(t *testing.T) {
	c := newRig(t, "0.7", Mesh)
	s := c.open(false)
	c.advanceSession(frozen.Add(2*time.Second), s)
	if !s.spoken {
		t.Error("it says nothing to who says nothing")
	}
	c.advanceSession(frozen.Add(GreetTime-time.Second), s)
	if s.over {
		t.Error("over too early")
	}
	c.advanceSession(frozen.Add(GreetTime), s)
	if !s.over || c.look().Endings[0].Why != ErrSilent {
		t.Errorf("a silent one: %v", c.done.Endings)
	}
}
