package chord

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/p2p-today/go2p/chord/internal/wire"
	"github.com/p2p-today/go2p/internal/frame"
	"github.com/p2p-today/go2p/internal/lifecycle"
	"github.com/p2p-today/go2p/internal/streamrpc"
	"github.com/p2p-today/go2p/mesh"
)

// Protocol is that of the questions. A peer opens a stream to each peer that it asks; many
// questions are on their way at a time, and the stream stays open.
const Protocol protocol.ID = "/go2p/chord/1.0.0"

const (
	maxStreams = 4    // of one neighbour's questions
	maxAsked   = 1024 // questions of one stream that wait for their answers, at its server
)

var streamLimits = streamrpc.Limits{MaxFrame: wire.MaxMessage, MaxUnsent: 4 << 20, WriteTime: 10 * time.Second}

// streams are the transport over streams of a mesh: one to each peer that is asked.
type streams struct {
	service *mesh.Service
	clients *streamrpc.Clients[peer.ID, *wire.Reply]
}

// newStreams returns a transport for a client, whose first question on each stream is a
// greeting.
func newStreams(service *mesh.Service, c *client) *streams {
	s := &streams{service: service}
	s.clients = streamrpc.NewClients(streamrpc.Env[peer.ID, *wire.Reply]{
		Group: c.life, OpenTime: askTime,
		Open: func(ctx context.Context, to peer.ID) (streamrpc.Stream, error) {
			if err := service.Reach(ctx, to); err != nil {
				return nil, err
			}
			return service.NewStream(ctx, to, Protocol)
		},
		Parse: func(_ peer.ID, body []byte) (uint64, *wire.Reply, error) {
			id, a, err := wire.ScanReply(body, time.Now())
			if err != nil {
				err = fmt.Errorf("%w: %w", errMalformed, err)
			}
			return id, a, err
		},
		Greet: func(to peer.ID, stream *streamrpc.Client[*wire.Reply]) error {
			a, err := exchange(c.life.Context(), stream, c.node.hello())
			if err != nil {
				return err
			}
			return c.greeted(to, a)
		},
		Ended: func(to peer.ID, err error) {
			if misbehaved(err) {
				service.ReportMisbehaviour(to, err)
			}
		},
	}, streamLimits)
	return s
}

func (s *streams) ask(ctx context.Context, to peer.ID, q *wire.Question) (*wire.Reply, error) {
	c, err := s.clients.To(ctx, to)
	var a *wire.Reply
	if err == nil {
		a, err = exchange(ctx, c, q)
	}
	if err != nil {
		return nil, fmt.Errorf("link to %s: %w", to, err)
	}
	return a, nil
}

func exchange(ctx context.Context, c *streamrpc.Client[*wire.Reply], q *wire.Question) (*wire.Reply, error) {
	id := c.NextID()
	return c.Ask(ctx, id, q.Append(nil, id, time.Now()))
}

func (s *streams) report(p peer.ID) { s.service.ReportMisbehaviour(p, errMalformed) }

// misbehaved reports whether a stream has ended with what no honest peer sends.
func misbehaved(err error) bool {
	return errors.Is(err, errMalformed) || errors.Is(err, frame.ErrTooLarge)
}

// A server has a node answer the questions that come on streams.
type server struct {
	node    *node
	service *mesh.Service
	life    *lifecycle.Group
	log     *slog.Logger
	limit   *streamrpc.Limiter[peer.ID]
}

func newServer(n *node, service *mesh.Service, life *lifecycle.Group, log *slog.Logger) *server {
	return &server{node: n, service: service, life: life, log: log, limit: streamrpc.NewLimiter[peer.ID](maxStreams)}
}

// serve answers the questions of one stream.
func (s *server) serve(stream network.Stream) {
	p := stream.Conn().RemotePeer()
	if !s.life.Begin() {
		stream.Reset()
		return
	}
	defer s.life.End()
	if !s.limit.Enter(p) {
		stream.Reset()
		return
	}
	defer s.limit.Leave(p)
	err := streamrpc.Serve(s.life.Context(), stream, streamLimits, maxAsked, s.handler(p))
	if misbehaved(err) {
		s.service.ReportMisbehaviour(p, err)
	}
	s.log.Debug("stream ended", "peer", p, "err", err)
}

// handler returns what answers the questions of one stream, the first of which must be a
// greeting with the same K.
func (s *server) handler(from peer.ID) streamrpc.Handler {
	greeted := false
	return func(body []byte) ([]byte, func(context.Context) []byte, error) {
		id, q, err := wire.ScanQuestion(body, time.Now())
		if err != nil {
			return nil, nil, fmt.Errorf("%w: %w", errMalformed, err)
		}
		if greeted = greeted || q.Kind == wire.AskGreet; !greeted {
			return nil, nil, fmt.Errorf("%w: a question before the greeting", errMalformed)
		}
		a, wait, err := s.node.handle(from, q)
		switch {
		case err != nil:
			return nil, nil, err
		case wait != nil:
			return nil, func(ctx context.Context) []byte { return wait(ctx).Append(nil, id, time.Now()) }, nil
		}
		greeted = greeted && a.Kind != wire.SayRefused
		return a.Append(nil, id, time.Now()), nil, nil
	}
}
