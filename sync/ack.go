package sync

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/internal/backoff"
	"github.com/p2p-today/go2p/internal/lifecycle"
	"github.com/p2p-today/go2p/sync/internal/replica"
)

// Acks has a write wait until so many other members have it on disk, if they have one.
// If the context ends before, the write has happened all the same.
func Acks(n int) WriteOption { return func(w *write) { w.acks = n } }

// askAgain is the pause between two questions for a write.
var askAgain = backoff.Policy{Min: 100 * time.Millisecond, Max: 2 * time.Second}

// An acknowledger asks neighbours whether they have a write, and answers them. It has no
// state of its own.
type acknowledger struct {
	syncer   *syncer
	pipeline *commitPipeline
	life     *lifecycle.Group
}

// await waits until so many neighbours have what was written.
func (a *acknowledger) await(ctx context.Context, last replica.Dot, n int) error {
	if last.N == 0 {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	asked := map[string]bool{}
	acks := make(chan struct{})
	for got := 0; got < n; {
		neighbours, met := a.syncer.neighbours()
		for _, nb := range neighbours {
			if asked[nb.Peer] {
				continue
			}
			asked[nb.Peer] = a.life.Go(func() {
				if a.askUntilAnswered(ctx, peer.ID(nb.Peer), last) == nil {
					select {
					case acks <- struct{}{}:
					case <-ctx.Done():
					}
				}
			})
		}
		select {
		case <-acks:
			got++
		case <-met:
		case <-a.life.Context().Done():
			return ErrClosed
		case <-ctx.Done():
			return fmt.Errorf("%w: it is written here, and %d of %d others have said that they have it: %w",
				ErrUnacknowledged, got, n, ctx.Err())
		}
	}
	return nil
}

// askUntilAnswered asks a neighbour again and again: a connection may be lost before that
// shows.
func (a *acknowledger) askUntilAnswered(ctx context.Context, p peer.ID, last replica.Dot) error {
	pause := backoff.Backoff{Policy: askAgain}
	for {
		if err := a.ask(ctx, p, last); err == nil || errors.Is(err, replica.ErrReconcile) {
			return err
		}
		if err := lifecycle.Sleep(ctx, pause.Next(nil)); err != nil {
			return err
		}
	}
}

// ask returns nil when a neighbour has a write, and all of its writer before it.
func (a *acknowledger) ask(ctx context.Context, p peer.ID, last replica.Dot) error {
	s, err := a.syncer.open(ctx, p)
	if err != nil {
		return err
	}
	defer s.Reset()
	defer context.AfterFunc(ctx, func() { s.Reset() })()
	if err := s.send(nil, (&replica.Message{Ask: &last}).Append(nil)); err != nil {
		return err
	}
	m, err := s.receive(ackTime)
	if err == nil && !m.Have {
		return s.violation(replica.ErrReconcile)
	}
	return err
}

// answer answers when a write, and all of its writer before it, is here, and on disk if
// there is one.
func (a *acknowledger) answer(ctx context.Context, s *messageStream, last replica.Dot) error {
	ctx, cancel := context.WithTimeout(ctx, ackTime)
	defer cancel()
	for {
		has, more := a.pipeline.hasAll(last)
		if has {
			break
		}
		select {
		case <-more:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := a.pipeline.flush(); err != nil {
		return err
	}
	return s.send(nil, (&replica.Message{Have: true}).Append(nil))
}
