package sync

import (
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/internal/frame"
	"github.com/p2p-today/go2p/sync/internal/replica"
)

// A messageStream is one end of a stream of [Protocol]. One goroutine sends, and one
// receives.
type messageStream struct {
	network.Stream
	verifier
	clock clock
	in    *frame.Reader
}

func newMessageStream(s network.Stream, v verifier, c clock) *messageStream {
	return &messageStream{Stream: s, verifier: v, clock: c, in: frame.NewReader(s, maxFrame)}
}

func (s *messageStream) peer() peer.ID { return s.Conn().RemotePeer() }

// send sends a message, behind frames that go before it.
func (s *messageStream) send(before, body []byte) error {
	s.SetWriteDeadline(time.Now().Add(frameTime))
	_, err := s.Write(frame.Append(before, body))
	return err
}

// receive returns the next message, whose proofs were verified.
func (s *messageStream) receive(within time.Duration) (replica.Message, error) {
	s.SetReadDeadline(time.Now().Add(within))
	body, err := s.in.Next()
	if err != nil {
		return replica.Message{}, err
	}
	m, err := replica.ParseMessage(body, s.clock.now().Count)
	for i := 0; err == nil && i < len(m.Proofs); i++ {
		err = s.verify(m.Proofs[i])
	}
	if err != nil {
		return m, s.violation(err)
	}
	return m, nil
}

// violation reports that the other end has sent what no honest peer sends. It returns an
// ErrReconcile.
func (s *messageStream) violation(err error) error {
	s.reject(s.peer(), err)
	if errors.Is(err, replica.ErrReconcile) {
		return err
	}
	return fmt.Errorf("%w: %w", replica.ErrReconcile, err)
}
