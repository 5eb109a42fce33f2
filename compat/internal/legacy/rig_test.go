package legacy

import (
	"encoding/hex"
	"encoding/json"
	"os"
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
