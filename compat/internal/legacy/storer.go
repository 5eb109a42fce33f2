package legacy

import (
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

// Join has this node store a part of the table.
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
		t.node.send(now, s, wire.Whisper, wire.Peers, t.version.PeersArg(t.node.listed(s)))
		t.node.send(now, s, wire.Whisper, wire.Handshake, t.node.text(t.leeching()))
	}
	return t.node.take()
}

// Unjoin has this node store nothing, and gives its copies to others. Error: ErrNoPeers if no other node stores.
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

// leeching returns "1" if this node stores nothing, and "0" if it stores.
func (t *DHT) leeching() string {
	if t.stores {
		return "0"
	}
	return "1"
}

// noteStores notes whether another node stores, and answers if that is news.
func (t *DHT) noteStores(now time.Time, s *Session, leeching any) {
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

// handOver gives a node that stores from now on the copies whose places it is nearer to. This node keeps them, too.
func (t *DHT) handOver(now time.Time, s *Session) {
	id, err := wire.ParseBase58(s.peer.ID)
	if err != nil || !t.stores {
		return
	}
	for _, pl := range t.copies.places() {
		n, err := wire.ParseBase58(pl.key)
		if err == nil && t.ring.distance(id, n).Cmp(t.ring.distance(t.self, n)) < 0 {
			t.sendStore(now, s, pl, t.copies.at[pl])
		}
	}
}
