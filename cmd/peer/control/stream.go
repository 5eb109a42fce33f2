package control

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/p2p-today/go2p/internal/value"
	"github.com/p2p-today/go2p/mesh"
	p2psync "github.com/p2p-today/go2p/sync"
)

// lines writes JSON Lines.
type lines struct {
	enc  *json.Encoder
	ctrl *http.ResponseController
}

func newLines(w http.ResponseWriter) *lines {
	w.Header().Set("Content-Type", "application/x-ndjson")
	l := &lines{json.NewEncoder(w), http.NewResponseController(w)}
	l.ctrl.Flush() // the client knows that it is served
	return l
}

// write tells whether the client is still there. While there is more to write at
// once, the line may wait for it.
func (l *lines) write(v any, more bool) bool {
	return l.enc.Encode(v) == nil && (more || l.ctrl.Flush() == nil)
}

func (s *Server) peers(w http.ResponseWriter, _ *http.Request) {
	l := newLines(w)
	for _, p := range s.mesh.Peers() {
		line := Peer{
			ID: p.ID.String(), Addrs: []string{}, Path: p.Path,
			RTT: float64(p.RTT) / float64(time.Millisecond), Since: p.Since,
		}
		for _, a := range p.Addrs {
			line.Addrs = append(line.Addrs, a.String())
		}
		if !l.write(line, true) {
			return
		}
	}
}

func (s *Server) messages(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(r.URL.Query().Get("n"))
	if err != nil || n < 0 {
		n = 0
	}
	var taken []mesh.Message
	var arriving *follower
	if r.URL.Query().Get("follow") == "1" {
		taken, arriving = s.box.follow(n)
	} else {
		taken = s.box.take(n)
	}
	unsent := taken
	defer func() { s.box.unfollow(arriving, unsent) }()
	l := newLines(w)
	for i, msg := range taken {
		if !l.write(toMessage(msg), i+1 < len(taken)) {
			return
		}
	}
	unsent = nil
	for sent := len(taken); arriving != nil && (n == 0 || sent < n); sent++ {
		select {
		case msg, ok := <-arriving.queue:
			if !ok {
				return
			}
			unsent = append(unsent, msg)
			more := len(arriving.queue) > 0 && sent+1 != n
			if !l.write(toMessage(msg), more) {
				return
			}
			if !more {
				unsent = unsent[:0]
			}
		case <-r.Context().Done():
			return
		}
	}
}

func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	meshEvents, dictEvents, tableEvents := s.mesh.Events(ctx), s.dict.Events(ctx), s.table.Events(ctx)
	out := make(chan Event)
	var sources sync.WaitGroup
	sources.Go(func() { forward(ctx, cancel, meshEvents, toEvent, out) })
	sources.Go(func() { forward(ctx, cancel, dictEvents, toSyncEvent, out) })
	sources.Go(func() { forward(ctx, cancel, tableEvents, toTableEvent, out) })
	defer sources.Wait()
	defer cancel()
	l := newLines(w)
	for {
		select {
		case ev := <-out:
			if !l.write(ev, false) {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// forward passes events on until they end, which ends the whole stream.
func forward[E any](ctx context.Context, end func(), events iter.Seq2[E, error], convert func(E) Event, out chan<- Event) {
	defer end()
	for ev, err := range events {
		if err != nil {
			return
		}
		select {
		case out <- convert(ev):
		case <-ctx.Done():
			return
		}
	}
}

func toSyncEvent(ev p2psync.Event) Event {
	out := Event{Event: string(ev.Kind), Time: ev.Time, Peer: ev.Peer, Owner: ev.Owner}
	if ev.Key != "" {
		key := Key(ev.Key)
		out.Key = &key
	}
	if ev.Err != nil {
		out.Reason = ev.Err.Error()
	}
	return out
}

func toMessage(m mesh.Message) Message {
	out := Message{Packets: []any{}, Time: m.Time, ID: m.ID, Kind: string(m.Kind), To: m.To}
	out.From, out.Via = from(m)
	for _, p := range m.Packets {
		out.Packets = append(out.Packets, value.JSON(p))
	}
	return out
}

func toEvent(ev mesh.Event) Event {
	out := Event{Event: string(ev.Kind), Time: ev.Time, Peer: ev.Peer.String()}
	if ev.Err != nil {
		out.Reason = ev.Err.Error()
	}
	switch ev.Kind {
	case mesh.EventMessage:
		msg := toMessage(ev.Message)
		out.Message = &msg
	case mesh.EventGap:
		out.Gap = &Gap{ev.Gap.Author.String(), ev.Gap.Boot, ev.Gap.First, ev.Gap.Last}
	}
	return out
}
