package mesh

import (
	"sync"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// streamHandlers owns the handlers of the network's protocols. Its mutex guards them.
type streamHandlers struct {
	*local

	mu sync.Mutex
	of map[protocol.ID]network.StreamHandler
}

func newStreamHandlers(l *local) *streamHandlers {
	return &streamHandlers{local: l, of: map[protocol.ID]network.StreamHandler{}}
}

// set has f handle the streams of a protocol; nil ends that. The mesh waits for handlers
// when it ends.
func (h *streamHandlers) set(id protocol.ID, f network.StreamHandler) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if f == nil {
		delete(h.of, id)
		return
	}
	h.of[id] = func(s network.Stream) {
		if h.group.Begin() {
			defer h.group.End()
			f(s)
		} else {
			s.Reset()
		}
	}
}

// get returns the handler of a protocol, nil if there is none.
func (h *streamHandlers) get(id protocol.ID) network.StreamHandler {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.of[id]
}
