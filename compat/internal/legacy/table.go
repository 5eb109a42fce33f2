package legacy

import (
	"math/big"
	"slices"
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

// SessionAt returns the session with the node that says that it listens at an address, or nil. Such a node is not
// dialled: of two connections, py may use neither.
func (n *Node) SessionAt(addr string) *Session {
	for _, s := range n.table {
		if !s.over && s.peer.Addr.String() == addr {
			return s
		}
	}
	return nil
}

// listed are the nodes that it tells of, to one of them.
func (n *Node) listed(to *Session) (list []wire.Listed) {
	for _, s := range n.sessions() {
		if s != to && s.peer.Addr.Host != "" {
			p := s.listed()
			p.Bin = p.Bin && to != nil && to.peer.Language == wire.Python
			list = append(list, p)
		}
	}
	return list
}

// listed is where the other is. py 3 knows others of py by bytes, and dials them again by text.
func (s *Session) listed() wire.Listed {
	return wire.Listed{Addr: s.peer.Addr, ID: s.peer.ID, Bin: s.peer.Language == wire.Python}
}

// sessions are those in the table, by ID.
func (n *Node) sessions() (list []*Session) {
	for _, s := range n.table {
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

// wins decides between two connections with one node. Old py nodes keep the one that the
// node with the larger ID has dialled; js nodes, and those that have not had this node's
// handshake, know of the first only.
func (n *Node) wins(now time.Time, s *Session, g wire.Greeting) bool {
	old := n.table[g.ID]
	if old == nil {
		return true
	}
	old.send(now, wire.Whisper, wire.Peers, n.net.Version.PeersArg(n.listed(old))) // if it is dead, that shows
	if !s.spoken && g.Language != wire.Python {
		return false
	}
	if larger(n.id, g.ID) != s.outgoing {
		return false
	}
	old.shut(now, ErrTwice)
	return true
}

// larger compares IDs as the numbers that they are.
func larger(a, b string) bool {
	x, errA := wire.ParseBase58(a)
	y, errB := wire.ParseBase58(b)
	if errA != nil || errB != nil {
		x, y = new(big.Int).SetBytes([]byte(a)), new(big.Int).SetBytes([]byte(b))
	}
	return x.Cmp(y) > 0
}

// enter takes a node that has greeted into the table.
func (n *Node) enter(now time.Time, s *Session) {
	delete(n.pending, s)
	n.table[s.peer.ID] = s
	s.ready()
	n.emit(Event{Kind: EventConnect, Peer: s.Peer()})
	s.send(now, wire.Whisper, wire.Peers, n.net.Version.PeersArg(n.listed(s)))
	n.ext.enter(now, s)
	for _, m := range n.postbox.take(s.peer.ID) {
		s.sendSigned(now, m)
	}
}

// Closed forgets a session whose connection is over.
func (n *Node) Closed(now time.Time, s *Session, why error) Effects {
	s.over = true
	delete(n.pending, s)
	if !s.greeted {
		n.emit(Event{Kind: EventRefused, Peer: s.Peer(), Err: why})
	}
	if n.table[s.peer.ID] == s {
		delete(n.table, s.peer.ID)
		n.emit(Event{Kind: EventDisconnect, Peer: s.Peer(), Err: why})
		n.ext.leave(now, s)
	}
	return n.take()
}

// offered are peers of another node, which it dials if it may and has few.
func (n *Node) offered(list []wire.Listed) {
	if !n.autodial {
		return
	}
	outgoing := 0
	for _, s := range n.table {
		if s.outgoing {
			outgoing++
		}
	}
	for _, p := range list {
		if outgoing < maxOutgoing && p.ID != n.id && n.table[p.ID] == nil && p.Addr != n.addr {
			outgoing++
			n.out.Dials = append(n.out.Dials, p)
		}
	}
}
