package legacy

import (
	"math/big"
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

const maxKeys = 1 << 20 // announced keys that are remembered

// A DHT is one node's part of the table of a chord network, which holds five copies of each key. It extends a Node,
// and is serialized with it.
type DHT struct {
	plain
	node    *Node
	version wire.Version
	ring    ring
	self    *big.Int
	stores  bool

	copies  copies
	keys    map[string]bool // that nodes have announced
	lookups []*Lookup
	asked   map[place][]question
	answers []pending // to py, the first due first
}

// A pending answer to another node is not sent yet.
type pending struct {
	due  time.Time
	to   *Session
	sub  wire.Flag
	args []any
}

// A question waits for a copy. It is that of a lookup of this node, or of another node.
type question struct {
	l     *Lookup
	index int
	from  *Session
	args  []any // method and key as the other has written them
	since time.Time
}

// NewDHT makes a node of a chord network.
func NewDHT(cfg Config) (*Node, *DHT) {
	n := NewNode(cfg)
	t := &DHT{
		node: n, version: cfg.Version, ring: ringBits,
		copies: copies{at: map[place]any{}}, keys: map[string]bool{}, asked: map[place][]question{},
	}
	id, _ := wire.ParseBase58(n.id) // which NodeID has made
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

// find returns the session with the node that stores position p, or nil if this node does. It reports false if no node
// is known to store.
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
	if t.narrow() { // a node that does not store has no fingers, and asks any node
		for s := range t.node.pending {
			if s.outgoing {
				return s, true
			}
		}
	}
	return nil, false
}

// narrow reports whether the ring is that of 0.4, on which only nodes that store say who they are.
func (t *DHT) narrow() bool { return t.version == wire.V4 }

func (t *DHT) asks() bool { return t.narrow() && !t.stores }

// at does so for the position of a copy.
func (t *DHT) at(pl place) (s *Session, known bool) {
	n, err := wire.ParseBase58(pl.key)
	if err != nil {
		return nil, false
	}
	return t.find(n)
}

// Keys returns the keys that nodes have announced, sorted. In 0.4 no node announces keys.
func (t *DHT) Keys() []string { return sortedKeys(t.keys) }

// Announced reports whether a node has announced a key.
func (t *DHT) Announced(key string) bool { return t.keys[key] }

// placeOf returns the place that the first two packets of a message name.
func placeOf(args []any) place {
	method, _ := wire.Text(args[0])
	key, _ := wire.Text(args[1])
	return place{method, key}
}

// encodePlace returns the method and key of a place as another node has them. py has bytes where js has text.
func (t *DHT) encodePlace(s *Session, pl place) (method, key any) {
	switch {
	case t.version < wire.V6, t.version == wire.V6 && s.peer.Language == wire.Python:
		return []byte(pl.method), []byte(pl.key)
	case s.peer.Language == wire.Python:
		return []byte(pl.method), pl.key
	}
	return pl.method, pl.key
}

// sendStore asks another node to store a copy.
func (t *DHT) sendStore(now time.Time, s *Session, pl place, v any) {
	method, key := t.encodePlace(s, pl)
	t.node.send(now, s, wire.Whisper, wire.Store, method, key, v)
}

// put stores or removes a copy here, or passes it on to the node that stores its place.
func (t *DHT) put(now time.Time, from *Session, pl place, v any) {
	target, known := t.at(pl)
	if known && target != nil && target != from {
		t.sendStore(now, target, pl, v)
		return
	}
	if !t.stores {
		return
	}
	if !t.copies.set(t.version, pl, v) {
		t.node.Drop(DropFull)
	}
}

// delta merges a map into a copy that is a map, here or at the node that stores its place.
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

// noteKey notes that a key was written or deleted, and emits an event if that is news.
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
