package control

import (
	"net/http"

	"github.com/p2p-today/go2p/internal/value"
	"github.com/p2p-today/go2p/mesh"
)

// messageRoutes take messages out of the mailbox.
type messageRoutes struct{ box *Mailbox }

func (s *messageRoutes) add(mux *http.ServeMux) {
	mux.HandleFunc("POST "+PathMessages, stream(s.messages))
}

func (s *messageRoutes) messages(w http.ResponseWriter, r *http.Request, q MessagesRequest) {
	n := max(q.N, 0)
	var taken []mesh.Message
	var arriving *follower
	if q.Follow {
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

func toMessage(m mesh.Message) Message {
	out := Message{Packets: []any{}, Time: m.Time, ID: m.ID, Kind: string(m.Kind), To: m.To}
	out.From, out.Via = authorOf(m)
	for _, p := range m.Packets {
		out.Packets = append(out.Packets, value.JSON(p))
	}
	return out
}

// authorOf returns the author of a message, and the peer that relayed it from an old network.
func authorOf(m mesh.Message) (author, via string) {
	if m.Origin != "" {
		return m.Origin, m.From.String()
	}
	return m.From.String(), ""
}
