package legacy

import (
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

const maxBacklog = 1 << 16 // keys that a node is told when it connects

// Join has this node store.
func (t *DHT) Join(now time.Time) Effects {
	if t.stores {
		return Effects{}
	}
	t.stores = true
	if t.narrow() {
		for s := range t.node.pending {
			t.node.sendHandshake(now, s)
		}
		return t.node.take()
	}
	for _, s := range t.node.sessions() {
		t.node.send(now, s, wire.Whisper, wire.Peers, t.node.net.Version.PeersArg(t.node.listed(s)))
		t.node.send(now, s, wire.Whisper, wire.Handshake, t.node.text(t.leeching()))
	}
	return t.node.take()
}

// Unjoin has it store no more, and gives what it has to others. Error: ErrNoPeers.
func (t *DHT) Unjoin(now time.Time) (Effects, error) {
	if !t.stores {
		return Effects{}, nil
	}
	t.stores = false
	for _, pl := range t.copies.places() {
		if _, known := t.at(pl); !known {
			t.stores = true
			return Effects{}, ErrNoPeers
		}
	}
	for _, s := range t.node.sessions() {
		if !t.narrow() {
			t.node.send(now, s, wire.Whisper, wire.Handshake, t.node.text(t.leeching()))
		}
	}
	for _, pl := range t.copies.places() {
		t.put(now, nil, pl, t.copies.at[pl])
	}
	t.copies = copies{at: map[place]any{}}
	return t.node.take(), nil
}

// hear takes whether another node stores.
func (t *DHT) hear(now time.Time, s *Session, leeching any) {
	text, _ := wire.Text(leeching)
	stores := text == "0"
	if stores == s.stores {
		return
	}
	s.stores = stores
	t.node.send(now, s, wire.Whisper, wire.Handshake, t.node.text(t.leeching()))
	if stores && t.stores {
		t.handOver(now, s)
	}
}

// enter tells a node that has come whether this one stores, and which keys there are.
func (t *DHT) enter(now time.Time, s *Session) {
	if t.narrow() {
		t.handOver(now, s)
		return
	}
	if t.stores || !s.outgoing {
		t.node.send(now, s, wire.Whisper, wire.Handshake, t.node.text(t.leeching()))
		s.backlog = sortedKeys(t.keys)
		s.backlog = s.backlog[:min(len(s.backlog), maxBacklog)]
	}
}

func (t *DHT) introduce(now time.Time, s *Session, key string) {
	t.node.send(now, s, wire.Whisper, wire.Notify, []byte(key))
}

// leeching is what a node says of itself.
func (t *DHT) leeching() string {
	if t.stores {
		return "0"
	}
	return "1"
}

// handOver gives a node that stores from now on what is nearer to it. This one keeps it,
// too.
func (t *DHT) handOver(now time.Time, s *Session) {
	id, err := wire.ParseBase58(s.peer.ID)
	if err != nil || !t.stores {
		return
	}
	for _, pl := range t.copies.places() {
		n, err := wire.ParseBase58(pl.key)
		if err == nil && t.ring.distance(id, n).Cmp(t.ring.distance(t.self, n)) < 0 {
			t.tellStore(now, s, pl, t.copies.at[pl])
		}
	}
}

// announce notes a key that is in the table, or is no more.
func (t *DHT) announce(key string, gone bool) {
	switch {
	case gone && t.keys[key]:
		delete(t.keys, key)
		t.node.emit(Event{Kind: EventDelete, Key: key})
	case !gone && !t.keys[key] && len(t.keys) < maxKeys:
		t.keys[key] = true
		t.node.emit(Event{Kind: EventAdd, Key: key})
	}
}
