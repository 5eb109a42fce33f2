package legacy

import (
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

const maxKeys = 1 << 20 // known to be in the table

// A DHT is a chord node's part of the table.
type DHT struct {
	plain
	node   *Node
	ring   ring
	self   *big.Int
	stores bool

	copies  copies
	keys    map[string]bool // of which it was said that they are in the table
	lookups []*Lookup
	asked   map[place][]question
	answers []pending // to py, the first due first
}

// NewDHT makes a node of a chord network.
func NewDHT(cfg Config) (*Node, *DHT) {
	n := NewNode(cfg)
	t := &DHT{node: n, ring: ringBits, copies: copies{at: map[place]any{}}, keys: map[string]bool{}, asked: map[place][]question{}}
	id, _ := wire.ParseBase58(n.id) // its own
	if t.narrow() {
		t.ring = ring(cfg.K)
		id = t.ring.reduce(id)
		n.id = wire.Base58(id.Bytes())
	}
	t.self = id
	n.extend(t)
	n.anonymous = t.narrow()
	return n, t
}

// find is who stores what is at a position: a node, or this one if s is nil. It is false
// if nobody does.
func (t *DHT) find(p *big.Int) (s *Session, known bool) {
	var nodes []*big.Int
	var sessions []*Session
	if t.stores {
		nodes, sessions = append(nodes, t.self), append(sessions, nil)
	}
	for _, s := range t.node.sessions() {
		id, err := wire.ParseBase58(s.peer.ID)
		if err == nil && (s.stores || t.narrow()) {
			nodes, sessions = append(nodes, id), append(sessions, s)
		}
	}
	if i := t.ring.nearest(nodes, p); i >= 0 {
		return sessions[i], true
	}
	if t.narrow() { // who does not store has no finger, and asks anybody
		for s := range t.node.pending {
			if s.outgoing {
				return s, true
			}
		}
	}
	return nil, false
}

// narrow tells whether it is the ring of 0.4, on which only those greet that store.
func (t *DHT) narrow() bool { return t.node.net.Version == wire.V4 }

func (t *DHT) asks() bool { return t.narrow() && !t.stores }

func (t *DHT) at(pl place) (s *Session, known bool) {
	n, err := wire.ParseBase58(pl.key)
	if err != nil {
		return nil, false
	}
	return t.find(n)
}

// leave asks another node for what the one that has left was asked.
func (t *DHT) leave(now time.Time, s *Session) {
	for _, l := range t.lookups {
		for i, pl := range l.places {
			if !l.said[i] {
				t.ask(now, pl, question{l: l, index: i, since: now})
			}
		}
	}
	for pl, list := range t.asked {
		t.asked[pl] = slices.DeleteFunc(list, func(q question) bool { return q.from == s })
	}
}

func (t *DHT) deadline() (first time.Time) {
	if len(t.answers) > 0 {
		first = t.answers[0].due
	}
	for _, l := range t.lookups {
		if d := l.deadline(); first.IsZero() || d.Before(first) {
			first = d
		}
	}
	return first
}

func (t *DHT) advance(now time.Time) {
	for len(t.answers) > 0 && !now.Before(t.answers[0].due) {
		a := t.answers[0]
		t.answers = t.answers[1:]
		if !a.to.over {
			t.node.send(now, a.to, wire.Whisper, a.sub, a.args...)
		}
	}
	t.lookups = slices.DeleteFunc(t.lookups, func(l *Lookup) bool {
		if !l.advance(now, t.node.net.Version) {
			return false
		}
		t.node.out.Found = append(t.node.out.Found, l)
		return true
	})
	for pl, list := range t.asked {
		list = slices.DeleteFunc(list, func(q question) bool { return now.Sub(q.since) >= LookupTime || q.l != nil && q.l.over })
		if t.asked[pl] = list; len(list) == 0 {
			delete(t.asked, pl)
		}
	}
}

// Lookup begins a lookup of a key, or of all its copies. Error: ErrNoPeers.
func (t *DHT) Lookup(now, until time.Time, key string, all bool) (*Lookup, Effects, error) {
	l, err := t.look(now, until, key, all)
	return l, t.node.take(), err
}

func (t *DHT) look(now, until time.Time, key string, all bool) (*Lookup, error) {
	l := &Lookup{places: t.ring.places(key), all: all, until: until}
	for i, pl := range l.places {
		if _, known := t.at(pl); !known {
			return nil, ErrNoPeers
		}
		t.ask(now, pl, question{l: l, index: i, since: now})
	}
	t.lookups = append(t.lookups, l)
	t.advance(now)
	return l, nil
}

// Write stores the five copies of a key. Errors: ErrValue, ErrNoPeers, ErrTooLarge.
func (t *DHT) Write(now time.Time, key string, v any) (Effects, error) {
	err := t.write(now, key, v)
	return t.node.take(), err
}

func (t *DHT) write(now time.Time, key string, v any) error {
	if t.node.net.Version == wire.V6 && !Absent(wire.V6, v) && !Storable(wire.V6, v) {
		return fmt.Errorf("%w: py of 0.6 cannot look up lists and maps", ErrValue)
	}
	places := t.ring.places(key)
	for _, pl := range places {
		if _, known := t.at(pl); !known {
			return ErrNoPeers
		}
	}
	for _, pl := range places {
		t.put(now, nil, pl, v)
	}
	return t.added(now, key)
}

// added tells all that a key is in the table.
func (t *DHT) added(now time.Time, key string) error {
	if t.narrow() {
		return nil
	}
	t.announce(key, false)
	_, err := t.node.broadcast(now, wire.Notify, []byte(key))
	return err
}

// Delete deletes the copies of a key that a lookup of all has found: py closes when it has none.
func (t *DHT) Delete(now time.Time, key string, l *Lookup) (Effects, error) {
	for i, pl := range l.places {
		if l.values[i] != nil {
			t.put(now, nil, pl, DeleteValue(t.node.net.Version))
		}
	}
	if t.narrow() {
		return t.node.take(), nil
	}
	t.announce(key, true)
	_, err := t.node.broadcast(now, wire.Notify, []byte(key), t.node.text("del"))
	return t.node.take(), err
}

// Merge merges a map into those copies of a key that are maps and that a lookup of all has found. Errors: ErrNoMap,
// ErrTooLarge.
func (t *DHT) Merge(now time.Time, key string, l *Lookup, delta wire.Map) (Effects, error) {
	if _, isMap := l.value.(wire.Map); !isMap {
		return Effects{}, ErrNoMap
	}
	for i, pl := range l.places {
		if _, isMap := l.values[i].(wire.Map); isMap {
			t.delta(now, nil, pl, delta)
		}
	}
	err := t.added(now, key)
	return t.node.take(), err
}

// Keys returns the keys of which it was said that they are in the table, in order. In 0.4, nobody says so.
func (t *DHT) Keys() []string { return sortedKeys(t.keys) }

// Announced reports whether it was said that a key is in the table.
func (t *DHT) Announced(key string) bool { return t.keys[key] }

// validate tells whether a message about the table has the right form.
func (t *DHT) validate(m *wire.Message, flooded bool) (ok, mine bool) {
	args := m.Args()
	text := func(n int) bool {
		for i := range n {
			if len(args) <= i {
				return false
			}
			if _, ok := wire.Text(args[i]); !ok {
				return false
			}
		}
		return true
	}
	switch sub := m.Sub(); {
	case sub == wire.Handshake && len(args) == 1:
		return text(1) && !flooded, true
	case sub == wire.Notify:
		return len(args) <= 2 && text(1), true
	case sub == wire.Retrieve:
		return len(args) == 2 && text(2) && !flooded, true
	case sub == wire.Store, sub == wire.Retrieved, sub == wire.Response && t.narrow():
		return len(args) == 3 && text(2) && !flooded, true
	case sub == wire.Request && len(args) == 2 && t.narrow():
		return text(2), true
	case sub == wire.Delta:
		if len(args) != 3 || flooded {
			return false, true
		}
		_, isMap := args[2].(wire.Map)
		return text(2) && isMap, true
	}
	return false, false
}

// refuses withholds what a node would close on: py of 0.5 on news of a deleted key.
func (t *DHT) refuses(s *Session, m *wire.Message) Drop {
	if t.node.net.Version == wire.V5 && m.Sub() == wire.Notify && len(m.Args()) == 2 {
		return DropDelete
	}
	return 0
}

func (t *DHT) handle(now time.Time, s *Session, m *wire.Message) bool {
	args := m.Args()
	switch sub := m.Sub(); {
	case sub == wire.Handshake:
		t.hear(now, s, args[0])
	case sub == wire.Notify:
		key, _ := wire.Text(args[0])
		t.node.out.Notices = append(t.node.out.Notices, KeyNotice{Key: key, Deleted: len(args) == 2})
		t.announce(key, len(args) == 2)
	case sub == wire.Retrieve:
		t.retrieve(now, s, args)
	case sub == wire.Retrieved, sub == wire.Response && t.narrow():
		t.retrieved(now, placeOf(args), args[2])
	case sub == wire.Store:
		t.put(now, s, placeOf(args), args[2])
	case sub == wire.Delta:
		t.delta(now, s, placeOf(args), args[2].(wire.Map))
	case sub == wire.Request && len(args) == 2 && t.narrow(): // whose answer no node has ever survived
	default:
		return false
	}
	return true
}

func placeOf(args []any) place {
	method, _ := wire.Text(args[0])
	key, _ := wire.Text(args[1])
	return place{method, key}
}

// words are a method and key as a node has them: py bytes where js has text.
func (t *DHT) words(s *Session, pl place) (method, key any) {
	switch {
	case t.node.net.Version < wire.V6, t.node.net.Version == wire.V6 && s.peer.Language == wire.Python:
		return []byte(pl.method), []byte(pl.key)
	case s.peer.Language == wire.Python:
		return []byte(pl.method), pl.key
	}
	return pl.method, pl.key
}

func (t *DHT) tellStore(now time.Time, s *Session, pl place, v any) {
	method, key := t.words(s, pl)
	t.node.send(now, s, wire.Whisper, wire.Store, method, key, v)
}
