package legacy

import (
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

const maxBacklog = 1 << 16 // keys that a node is told when it connects

// validate reports whether a message about the table has the right form, and whether it is about the table.
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

// refuses withholds the news of a deleted key from 0.5, where py closes the connection on it.
func (t *DHT) refuses(s *Session, m *wire.Message) Drop {
	if t.version == wire.V5 && m.Sub() == wire.Notify && len(m.Args()) == 2 {
		return DropDelete
	}
	return 0
}

// handle handles a message about the table. It reports whether it was one.
func (t *DHT) handle(now time.Time, s *Session, m *wire.Message) bool {
	args := m.Args()
	switch sub := m.Sub(); {
	case sub == wire.Handshake:
		t.noteStores(now, s, args[0])
	case sub == wire.Notify:
		key, _ := wire.Text(args[0])
		t.node.out.Notices = append(t.node.out.Notices, KeyNotice{Key: key, Deleted: len(args) == 2})
		t.noteKey(key, len(args) == 2)
	case sub == wire.Retrieve:
		t.retrieve(now, s, args)
	case sub == wire.Retrieved, sub == wire.Response && t.narrow():
		t.retrieved(now, placeOf(args), args[2])
	case sub == wire.Store:
		t.put(now, s, placeOf(args), args[2])
	case sub == wire.Delta:
		t.delta(now, s, placeOf(args), args[2].(wire.Map))
	case sub == wire.Request && len(args) == 2 && t.narrow(): // no node has ever survived the answer
	default:
		return false
	}
	return true
}

// joined tells a new node whether this one stores, and queues the keys that it must be told.
func (t *DHT) joined(now time.Time, s *Session) {
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

// introduce tells a new node of one key.
func (t *DHT) introduce(now time.Time, s *Session, key string) {
	t.node.send(now, s, wire.Whisper, wire.Notify, []byte(key))
}
