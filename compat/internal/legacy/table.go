package legacy

import (
	"slices"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

// A table holds the sessions of a node.
type table struct {
	pending map[*Session]bool   // that have not said who they are
	members map[string]*Session // the others, by ID
}

func newTable() table {
	return table{pending: map[*Session]bool{}, members: map[string]*Session{}}
}

// SessionAt returns the session with the node that says that it listens at an address, or nil. Such a node is not
// dialled again: of two connections, py may use neither.
func (t *table) SessionAt(addr string) *Session {
	for _, s := range t.members {
		if !s.over && s.peer.Addr.String() == addr {
			return s
		}
	}
	return nil
}

// sessions returns the members, sorted by ID.
func (t *table) sessions() (list []*Session) {
	for _, s := range t.members {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b *Session) int {
		if a.peer.ID < b.peer.ID {
			return -1
		}
		return 1
	})
	return list
}

// listed returns the members that another member is told of.
func (t *table) listed(to *Session) (list []wire.Listed) {
	for _, s := range t.sessions() {
		if s != to && s.peer.Addr.Host != "" {
			p := s.listed()
			p.Bin = p.Bin && to != nil && to.peer.Language == wire.Python
			list = append(list, p)
		}
	}
	return list
}
