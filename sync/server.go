package sync

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/internal/lifecycle"
	"github.com/p2p-today/go2p/sync/internal/replica"
)

// A server takes the streams that neighbours open. The lock guards how many of each there
// are.
type server struct {
	syncer *syncer
	acks   *acknowledger
	life   *lifecycle.Group
	log    *slog.Logger

	mu      sync.Mutex
	serving map[peer.ID]int
}

// serve handles a stream of a neighbour.
func (s *server) serve(stream network.Stream) {
	p := stream.Conn().RemotePeer()
	if !s.life.Begin() {
		stream.Reset()
		return
	}
	defer s.life.End()
	if !s.admit(p) {
		stream.Reset()
		return
	}
	defer s.leave(p)
	ctx, cancel := context.WithTimeout(s.life.Context(), sessionTime)
	defer cancel()
	defer context.AfterFunc(ctx, func() { stream.Reset() })()
	err := s.answer(ctx, newMessageStream(stream, s.syncer.verifier, s.syncer.clock))
	if err != nil && !errors.Is(err, errBusy) {
		stream.Reset()
		s.log.Debug("session", "peer", p, "err", err)
		return
	}
	stream.Close()
}

// admit counts a stream of a neighbour, unless it has too many.
func (s *server) admit(p peer.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.serving[p] >= maxServed {
		return false
	}
	s.serving[p]++
	return true
}

func (s *server) leave(p peer.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.serving[p]--; s.serving[p] == 0 {
		delete(s.serving, p)
	}
}

// answer answers the first message of a stream, which says what the stream is for.
func (s *server) answer(ctx context.Context, stream *messageStream) error {
	first, err := stream.receive(frameTime)
	switch {
	case err != nil:
		return err
	case first.Ask != nil:
		return s.acks.answer(ctx, stream, *first.Ask)
	case first.Params != nil:
		return s.syncer.answer(stream, *first.Params)
	}
	return stream.violation(replica.ErrReconcile)
}
