package control

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/internal/value"
	"github.com/p2p-today/go2p/mesh"
)

// receipts is how long the answer to send waits for delivery receipts.
const receipts = time.Second

// meshRoutes answer for the mesh: neighbours, and messages that are sent.
type meshRoutes struct {
	mesh *mesh.Mesh
	box  *Mailbox // with the messages that may be replied to
	old  *bridgeRoutes
}

func (s *meshRoutes) add(mux *http.ServeMux) {
	mux.HandleFunc("GET "+PathPeers, s.peers)
	mux.HandleFunc("POST "+PathConnect, answer(s.connect))
	mux.HandleFunc("POST "+PathDisconnect, answer(s.disconnect))
	mux.HandleFunc("POST "+PathSend, answer(s.send))
	mux.HandleFunc("POST "+PathWhisper, answer(s.whisper))
	mux.HandleFunc("POST "+PathAsk, answer(s.ask))
	mux.HandleFunc("POST "+PathReply, answer(s.reply))
}

func (s *meshRoutes) peers(w http.ResponseWriter, _ *http.Request) {
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

func (s *meshRoutes) connect(ctx context.Context, t Target) (OK, error) {
	to, err := peer.AddrInfoFromString(t.Addr)
	if err != nil {
		return OK{}, badRequest(fmt.Errorf("%q is no address of a peer, such as /ip4/192.0.2.1/tcp/44565/p2p/12D3Koo…: %w", t.Addr, err))
	}
	return OK{true}, s.mesh.Connect(ctx, *to)
}

func (s *meshRoutes) disconnect(_ context.Context, t Target) (OK, error) {
	p, err := decodePeer(t.Peer)
	if err != nil {
		return OK{}, err
	}
	if err := s.mesh.Disconnect(p); err != nil {
		return OK{}, &Error{Text: err.Error(), Code: CodeNotNeighbour}
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

func (s *meshRoutes) send(ctx context.Context, o Outgoing) (Sent, error) {
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
	ctx, cancel := context.WithTimeout(ctx, receipts)
	defer cancel()
	took, _ := s.mesh.Delivered(ctx, r)
	return Sent{r.ID, r.Neighbours, took, s.old.connected()}, nil
}

// awaitNeighbour waits for the first neighbour, at most for nine tenths of the time that the context has.
func (s *meshRoutes) awaitNeighbour(ctx context.Context) error {
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(end)*9/10)
		defer cancel()
	}
	return s.mesh.AwaitNeighbour(ctx)
}

func (s *meshRoutes) whisper(ctx context.Context, o Outgoing) (OK, error) {
	if isOld(o.To) {
		packets, err := o.packets()
		if err != nil {
			return OK{}, err
		}
		return OK{true}, s.old.whisper(ctx, o.To, packets)
	}
	to, packets, err := s.addressed(ctx, o)
	if err != nil {
		return OK{}, err
	}
	return OK{true}, s.mesh.Whisper(ctx, to, packets...)
}

func (s *meshRoutes) ask(ctx context.Context, o Outgoing) (Message, error) {
	to, packets, err := s.addressed(ctx, o)
	if err != nil {
		return Message{}, err
	}
	reply, err := s.mesh.Ask(ctx, to, packets...)
	return toMessage(reply), err
}

func (s *meshRoutes) addressed(ctx context.Context, o Outgoing) (peer.ID, []any, error) {
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

func (s *meshRoutes) reply(ctx context.Context, o Outgoing) (OK, error) {
	packets, err := o.packets()
	if err != nil {
		return OK{}, err
	}
	msg, ok := s.box.find(o.To)
	if !ok {
		return OK{}, &Error{Text: fmt.Sprintf("no message %q among the last %d", o.To, maxKept), Code: CodeUnknownMessage}
	}
	if msg.Origin != "" && msg.From == s.mesh.ID() {
		return OK{true}, s.old.whisper(ctx, msg.Origin, packets)
	}
	return OK{true}, s.mesh.Reply(ctx, msg, packets...)
}
