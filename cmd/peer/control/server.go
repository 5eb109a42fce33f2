package control

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/libp2p/go-libp2p/core/host"

	"github.com/p2p-today/go2p/chord"
	"github.com/p2p-today/go2p/compat/bridge"
	"github.com/p2p-today/go2p/internal/lifecycle"
	"github.com/p2p-today/go2p/mesh"
	p2psync "github.com/p2p-today/go2p/sync"
)

const (
	shutdownGrace = 2 * time.Second
	settling      = 5 * time.Second // how long after its start a peer waits for what it does not have yet
)

// A Server answers for one peer. The group owns the goroutine that serves, and the context of all requests.
type Server struct {
	http  http.Server
	group *lifecycle.Group
}

// Parts are what a server answers for. The caller closes them, after the server.
type Parts struct {
	Host    host.Host
	Mesh    *mesh.Mesh
	Dict    *p2psync.Dict
	Table   *chord.Table
	Bridge  *bridge.Bridge
	Joined  <-chan struct{} // closed when the peer stores in the table, or is not to
	Mailbox *Mailbox        // the handler of the mesh
	Dir     string          // the data directory
	MDNS    bool            // the peer looks for others by mDNS
}

// Serve answers on a listener until Close.
func Serve(l net.Listener, p Parts) *Server {
	s := &Server{group: lifecycle.New()}
	s.http = http.Server{
		Handler: routes(p, time.Now().Add(settling)), ReadHeaderTimeout: defaultTimeout,
		BaseContext: func(net.Listener) context.Context { return s.group.Context() },
	}
	s.group.Go(func() { s.http.Serve(l) })
	return s
}

// Close ends all requests and closes the listener.
func (s *Server) Close() error {
	s.group.Cancel()
	ctx, cancel := context.WithTimeout(context.Background(), shutdownGrace)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = s.http.Close()
	}
	s.group.Wait()
	return err
}

// routes returns a handler for all paths. Until the time settled, requests wait for what a peer that has just started
// does not have yet.
func routes(p Parts, settled time.Time) http.Handler {
	mux := http.NewServeMux()
	dict, table, old := &syncStore{p.Dict, settled}, &chordStore{p.Table, p.Joined, settled}, &bridgeRoutes{p.Bridge}
	(&statusRoutes{p.Host, p.Mesh, dict, table, p.Mailbox, p.Dir}).add(mux)
	(&eventRoutes{p.Mesh, p.Dict, p.Table}).add(mux)
	(&doctor{p.Host, p.Mesh, p.MDNS}).add(mux)
	(&meshRoutes{p.Mesh, p.Mailbox, old}).add(mux)
	(&messageRoutes{p.Mailbox}).add(mux)
	(&kvRoutes{dict}).add(mux, Sync)
	(&syncRoutes{dict}).add(mux)
	(&locker{store: dict, self: p.Host.ID().String()}).add(mux)
	(&kvRoutes{table}).add(mux, Chord)
	(&chordRoutes{table}).add(mux)
	old.add(mux)
	return mux
}
