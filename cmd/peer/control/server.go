package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/chord"
	"github.com/p2p-today/go2p/compat"
	"github.com/p2p-today/go2p/internal/value"
	"github.com/p2p-today/go2p/mesh"
	p2psync "github.com/p2p-today/go2p/sync"
)

const (
	maxRequest     = 2 * mesh.MaxMessage // base64 makes four bytes of three
	defaultTimeout = 10 * time.Second
	shutdownGrace  = 2 * time.Second
)

// A Server answers for one peer.
type Server struct {
	host    host.Host
	mesh    *mesh.Mesh
	dict    *p2psync.Dict
	table   *chord.Table
	bridge  *compat.Bridge
	joined  <-chan struct{}
	dir     string
	mdns    bool
	box     *Mailbox
	http    http.Server
	end     context.CancelFunc
	wg      sync.WaitGroup
	started time.Time

	locksMu sync.Mutex
	locks   map[string]*queue // by key
}

// Parts are what a server answers for. They stay the caller's, and must outlive it.
type Parts struct {
	Host   host.Host
	Mesh   *mesh.Mesh
	Dict   *p2psync.Dict
	Table  *chord.Table
	Bridge *compat.Bridge
	Joined <-chan struct{} // closed when the peer stores in the table, or is not to
	Box    *Mailbox        // gets what the mesh gets
	Dir    string          // of the data
	MDNS   bool            // others are looked for by mDNS
}

// Serve answers on a listener until Close.
func Serve(l net.Listener, p Parts) *Server {
	s := &Server{
		host: p.Host, mesh: p.Mesh, dict: p.Dict, table: p.Table, bridge: p.Bridge, joined: p.Joined, box: p.Box, dir: p.Dir, mdns: p.MDNS,
		started: time.Now(), locks: map[string]*queue{},
	}
	var ctx context.Context
	ctx, s.end = context.WithCancel(context.Background())
	s.http = http.Server{
		Handler: s.routes(), ReadHeaderTimeout: defaultTimeout,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	s.wg.Go(func() { s.http.Serve(l) })
	return s
}

// Close ends all requests and closes the listener.
func (s *Server) Close() error {
	s.end()
	ctx, cancel := context.WithTimeout(context.Background(), shutdownGrace)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = s.http.Close()
	}
	s.wg.Wait()
	return err
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+PathStatus, answer(s.status))
	mux.HandleFunc("GET "+PathEvents, s.events)
	mux.HandleFunc("GET "+PathDoctor, s.doctor)
	mux.HandleFunc("GET "+PathPeers, s.peers)
	mux.HandleFunc("GET "+PathMessages, s.messages)
	mux.HandleFunc("POST "+PathConnect, answer(s.connect))
	mux.HandleFunc("POST "+PathDisconnect, answer(s.disconnect))
	mux.HandleFunc("POST "+PathSend, answer(s.send))
	mux.HandleFunc("POST "+PathWhisper, answer(s.whisper))
	mux.HandleFunc("POST "+PathAsk, answer(s.ask))
	mux.HandleFunc("POST "+PathReply, answer(s.reply))
	s.routeSync(mux)
	s.routeChord(mux)
	s.routeBridge(mux)
	return mux
}

// answer reads a request, bounds its time by what the client waits, and writes
// what f returns.
func answer[Q, A any](f func(context.Context, Q) (A, error)) http.HandlerFunc {
	return answerUpTo(maxRequest, f)
}

func answerUpTo[Q, A any](limit int64, f func(context.Context, Q) (A, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var q Q
		if r.Method == http.MethodPost {
			if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, limit)).Decode(&q); err != nil {
				fail(w, badRequest(err))
				return
			}
		}
		ctx, cancel := context.WithTimeout(r.Context(), timeout(r))
		defer cancel()
		a, err := f(ctx, q)
		if err != nil {
			fail(w, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(a)
	}
}

// timeout is a little less than what the client waits, so that it hears the
// reason.
func timeout(r *http.Request) time.Duration {
	d, err := time.ParseDuration(r.Header.Get(TimeoutHeader))
	if err != nil {
		d = defaultTimeout
	}
	return d * 19 / 20
}

func fail(w http.ResponseWriter, err error) {
	e := toError(err)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.status())
	json.NewEncoder(w).Encode(e)
}

func badRequest(err error) error {
	e := &Error{Text: err.Error(), Exit: ExitUsage}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		e = &Error{Text: mesh.ErrTooLarge.Error(), Exit: ExitFailure}
	}
	return e
}

func (s *Server) status(context.Context, struct{}) (Status, error) {
	m := s.mesh.Status()
	st := Status{
		ID: m.ID.String(), Addrs: Addrs(s.host), PID: os.Getpid(), Data: s.dir, Uptime: m.Uptime.Seconds(),
		Network: m.Network, Private: m.Private, Neighbours: m.Neighbours, Redialling: m.Redialling, Boot: m.Boot,
		Sent:     Counts{m.SentBroadcasts, m.SentWhispers},
		Received: Counts{m.ReceivedBroadcasts, m.ReceivedWhispers},
		Dropped:  m.DroppedBroadcasts, BadSigs: m.BadSignatures, Waiting: s.box.len(), Errors: []LogEntry{},
		Sync: s.dictionary(), Chord: s.tableStatus(),
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

func (s *Server) connect(ctx context.Context, t Target) (OK, error) {
	to, err := peer.AddrInfoFromString(t.Addr)
	if err != nil {
		return OK{}, badRequest(fmt.Errorf("%q is no address of a peer, such as /ip4/192.0.2.1/tcp/44565/p2p/12D3Koo…: %w", t.Addr, err))
	}
	return OK{true}, s.mesh.Connect(ctx, *to)
}

func (s *Server) disconnect(_ context.Context, t Target) (OK, error) {
	p, err := decodePeer(t.Peer)
	if err != nil {
		return OK{}, err
	}
	if err := s.mesh.Disconnect(p); err != nil {
		return OK{}, &Error{Text: err.Error(), Exit: ExitMissing, Hint: "`peer mesh peers` lists the neighbours"}
	}
	return OK{true}, nil
}

func decodePeer(text string) (peer.ID, error) {
	p, err := peer.Decode(text)
	if err != nil {
		return "", badRequest(fmt.Errorf("%q is no peer ID, such as 12D3Koo…: %w", text, err))
	}
	return p, nil
}

func (o *Outgoing) packets() ([]any, error) {
	packets := make([]any, len(o.Packets))
	for i, raw := range o.Packets {
		var err error
		if packets[i], err = value.FromJSON(raw); err != nil {
			return nil, badRequest(err)
		}
	}
	return packets, nil
}

func (s *Server) send(ctx context.Context, o Outgoing) (Sent, error) {
	packets, err := o.packets()
	if err != nil {
		return Sent{}, err
	}
	if err := s.awaitNeighbour(ctx); errors.Is(err, mesh.ErrNoCommonNetwork) {
		return Sent{}, err
	}
	r, err := s.mesh.Broadcast(ctx, packets...)
	if err != nil {
		return Sent{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, taking)
	defer cancel()
	took, _ := s.mesh.Delivered(ctx, r)
	old := 0
	for _, l := range s.bridge.Links() {
		old += len(l.Peers)
	}
	return Sent{r.ID, r.Neighbours, took, old}, nil
}

// taking is how long the answer to send waits for the neighbours' word.
const taking = time.Second

// awaitNeighbour waits for the first neighbour while there is hope, at most for
// most of the time that the context has.
func (s *Server) awaitNeighbour(ctx context.Context) error {
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(end)*9/10)
		defer cancel()
	}
	return s.mesh.AwaitNeighbour(ctx)
}

func (s *Server) whisper(ctx context.Context, o Outgoing) (OK, error) {
	if isOld(o.To) {
		return OK{true}, s.toOld(ctx, o.To, o)
	}
	to, packets, err := s.addressed(ctx, o)
	if err != nil {
		return OK{}, err
	}
	return OK{true}, s.mesh.Whisper(ctx, to, packets...)
}

func (s *Server) ask(ctx context.Context, o Outgoing) (Message, error) {
	to, packets, err := s.addressed(ctx, o)
	if err != nil {
		return Message{}, err
	}
	reply, err := s.mesh.Ask(ctx, to, packets...)
	return toMessage(reply), err
}

func (s *Server) addressed(ctx context.Context, o Outgoing) (peer.ID, []any, error) {
	to, err := decodePeer(o.To)
	if err != nil {
		return "", nil, err
	}
	packets, err := o.packets()
	if err != nil {
		return "", nil, err
	}
	return to, packets, s.awaitNeighbour(ctx)
}

func (s *Server) reply(ctx context.Context, o Outgoing) (OK, error) {
	packets, err := o.packets()
	if err != nil {
		return OK{}, err
	}
	msg, ok := s.box.find(o.To)
	if !ok {
		return OK{}, &Error{
			Text: fmt.Sprintf("no message %q among the last %d", o.To, kept), Exit: ExitMissing,
			Hint: "`peer mesh recv --json` shows the id of each message",
		}
	}
	if msg.Origin != "" && msg.From == s.mesh.ID() {
		return OK{true}, s.bridge.Whisper(ctx, msg.Origin, packets...)
	}
	return OK{true}, s.mesh.Reply(ctx, msg, packets...)
}
