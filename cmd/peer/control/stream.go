package control

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/p2p-today/go2p/internal/value"
	"github.com/p2p-today/go2p/mesh"
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
	events := s.mesh.Events(r.Context())
	l := newLines(w)
	for ev, err := range events {
		if err != nil || !l.write(toEvent(ev), false) {
			return
		}
	}
}

func toMessage(m mesh.Message) Message {
	out := Message{From: m.From.String(), Packets: []any{}, Time: m.Time, ID: m.ID, Kind: string(m.Kind), To: m.To}
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
