package legacy

import (
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
	"github.com/p2p-today/go2p/internal/ttlset"
)

const (
	window   = 60 * time.Second  // a broadcast is passed on while it is younger
	ahead    = 120 * time.Second // a broadcast may be from the future by so much
	remember = 300 * time.Second // that a broadcast was passed on: longer than one from the future is by anybody
	maxSeen  = 100_000
)

// A history holds the IDs of the broadcasts that were passed on. In 0.4 and 0.5, broadcasts of different senders may
// have one ID.
type history struct {
	seen    *ttlset.Set
	senders map[string]string // by ID, in 0.4 and 0.5
}

func newHistory() history {
	return history{seen: ttlset.New(remember, maxSeen), senders: map[string]string{}}
}

// add adds a broadcast, and reports whether it is new.
func (h *history) add(now time.Time, id string) bool { return h.seen.Add(now, id) }

// addSender notes the sender of a broadcast.
func (h *history) addSender(m *wire.Message, sender string) {
	if m.Version.Typed() {
		return
	}
	if len(h.senders) >= maxSeen {
		clear(h.senders)
	}
	h.senders[m.ID] = sender
}

// sender returns the sender of a broadcast of 0.4 or 0.5, or nothing.
func (h *history) sender(id string) string { return h.senders[id] }
