package legacy

import (
	"math/big"
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

// Keys returns the keys of which it was said that they are in the table, in order. In 0.4, nobody says so.
func (t *DHT) Keys() []string { return sortedKeys(t.keys) }

// Announced reports whether it was said that a key is in the table.
func (t *DHT) Announced(key string) bool { return t.keys[key] }

func placeOf(args []any) place {
	method, _ := wire.Text(args[0])
	key, _ := wire.Text(args[1])
	return place{method, key}
}

// encodePlace are a method and key as a node has them: py bytes where js has text.
func (t *DHT) encodePlace(s *Session, pl place) (method, key any) {
	switch {
	case t.node.net.Version < wire.V6, t.node.net.Version == wire.V6 && s.peer.Language == wire.Python:
		return []byte(pl.method), []byte(pl.key)
	case s.peer.Language == wire.Python:
		return []byte(pl.method), pl.key
	}
	return pl.method, pl.key
}

func (t *DHT) sendStore(now time.Time, s *Session, pl place, v any) {
	method, key := t.encodePlace(s, pl)
	t.node.send(now, s, wire.Whisper, wire.Store, method, key, v)
}

// put stores a copy, deletes it, or passes it on.
func (t *DHT) put(now time.Time, from *Session, pl place, v any) {
	target, known := t.at(pl)
	if known && target != nil && target != from {
		t.sendStore(now, target, pl, v)
		return
	}
	if !t.stores {
		return
	}
	if !t.copies.set(t.node.net.Version, pl, v) {
		t.node.Drop(DropFull)
	}
}

// delta merges a map into a copy that is one.
func (t *DHT) delta(now time.Time, from *Session, pl place, delta wire.Map) {
	target, known := t.at(pl)
	if known && target != nil && target != from {
		method, key := t.encodePlace(target, pl)
		t.node.send(now, target, wire.Whisper, wire.Delta, method, key, delta)
		return
	}
	if base, isMap := t.copies.at[pl].(wire.Map); isMap {
		t.put(now, from, pl, mergeMaps(base, delta))
	}
}

// noteKey notes a key that is in the table, or is no more.
func (t *DHT) noteKey(key string, gone bool) {
	switch {
	case gone && t.keys[key]:
		delete(t.keys, key)
		t.node.emit(Event{Kind: EventDelete, Key: key})
	case !gone && !t.keys[key] && len(t.keys) < maxKeys:
		t.keys[key] = true
		t.node.emit(Event{Kind: EventAdd, Key: key})
	}
}
