package control

import (
	"context"
	"net/http"
	"os"

	"github.com/libp2p/go-libp2p/core/host"

	"github.com/p2p-today/go2p/mesh"
)

// statusRoutes answer with the state of the peer.
type statusRoutes struct {
	host  host.Host
	mesh  *mesh.Mesh
	dict  *syncStore
	table *chordStore
	box   *Mailbox
	dir   string
}

func (s *statusRoutes) add(mux *http.ServeMux) {
	mux.HandleFunc("GET "+PathStatus, answer(s.status))
}

func (s *statusRoutes) status(context.Context, struct{}) (Status, error) {
	m := s.mesh.Status()
	st := Status{
		ID: m.ID.String(), Addrs: Addrs(s.host), PID: os.Getpid(), Data: s.dir, Uptime: m.Uptime.Seconds(),
		Network: m.Network, Private: m.Private, Neighbours: m.Neighbours, Redialling: m.Redialling, Boot: m.Boot,
		Sent:     Counts{m.SentBroadcasts, m.SentWhispers},
		Received: Counts{m.ReceivedBroadcasts, m.ReceivedWhispers},
		Dropped:  m.DroppedBroadcasts, BadSigs: m.BadSignatures, Waiting: s.box.len(), Errors: []LogEntry{},
		Sync: s.dict.status(), Chord: s.table.status(),
	}
	for _, e := range m.Errors {
		st.Errors = append(st.Errors, LogEntry{e.Time, e.Peer.String(), e.Err.Error()})
	}
	return st, nil
}

// Addrs returns the addresses under which a host can be reached, with its ID.
func Addrs(h host.Host) []string {
	list := []string{}
	for _, a := range h.Addrs() {
		list = append(list, a.String()+"/p2p/"+h.ID().String())
	}
	return list
}
