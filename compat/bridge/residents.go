package bridge

import (
	"sync"
	"time"

	"github.com/p2p-today/go2p/compat/internal/legacy"
	"github.com/p2p-today/go2p/internal/ttlset"
)

const residentTime = 24 * time.Hour // that an old node is remembered

// residents are the nodes that were heard of in an old network, ghosts aside. mu guards them.
type residents struct {
	mu   sync.Mutex
	self string // the bridge's own node, which is none
	ids  *ttlset.Set
}

func newResidents() *residents { return &residents{ids: ttlset.New(residentTime, legacy.MaxKnown)} }

// exclude says which is the bridge's own node.
func (r *residents) exclude(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.self = id
}

func (r *residents) add(id string) {
	if legacy.IsGhost(id) || id == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ids.Add(time.Now(), id)
}

// has reports whether a node was heard of.
func (r *residents) has(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return id != r.self && r.ids.Has(time.Now(), id)
}
