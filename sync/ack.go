package sync

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/sync/internal/replica"
)

// ErrUnacknowledged says that a write was not acknowledged by as many members as were
// asked for, in time. It has happened all the same.
var ErrUnacknowledged = errors.New("not acknowledged")

// Acks has a write wait until so many other members have it on disk, if they have one.
// If the context ends before, the write has happened all the same.
func Acks(n int) WriteOption { return func(w *write) { w.acks = n } }

// awaitAcks waits until so many neighbours have what was written.
func (d *Dict) awaitAcks(ctx context.Context, last replica.Dot, n int) error {
	if last.N == 0 {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	asked := map[string]bool{}
	acks := make(chan struct{})
	for got := 0; got < n; {
		d.levelMu.Lock()
		met := d.met
		for n := range d.levels.Neighbours() {
			id := n.Peer
			if !asked[id] && d.begin() {
				asked[id] = true
				go func() {
					defer d.wg.Done()
					if d.askAgain(ctx, id, last) == nil {
						select {
						case acks <- struct{}{}:
						case <-ctx.Done():
						}
					}
				}()
			}
		}
		d.levelMu.Unlock()
		select {
		case <-acks:
			got++
		case <-met:
		case <-d.ctx.Done():
			return ErrClosed
		case <-ctx.Done():
			return fmt.Errorf("%w: it is written here, and %d of %d others have said that they have it: %w", ErrUnacknowledged, got, n, ctx.Err())
		}
	}
	return nil
}

// askAgain asks a neighbour until it answers: a connection may be lost before that shows.
func (d *Dict) askAgain(ctx context.Context, id string, last replica.Dot) error {
	for pause := firstAsk; ; pause = min(2*pause, lastAsk) {
		if err := d.askFor(ctx, id, last); err == nil || errors.Is(err, replica.ErrReconcile) {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// The pauses between two questions for a write.
const (
	firstAsk = 100 * time.Millisecond
	lastAsk  = 2 * time.Second
)

// askFor returns nil when a neighbour has a write, and all of its writer before it.
func (d *Dict) askFor(ctx context.Context, id string, last replica.Dot) error {
	s, err := d.service.NewStream(ctx, peer.ID(id), Protocol)
	if err != nil {
		return err
	}
	defer s.Reset()
	defer context.AfterFunc(ctx, func() { s.Reset() })()
	t := d.newTalk(s, true)
	if err := t.send(nil, (&replica.Message{Ask: &last}).Append(nil)); err != nil {
		return err
	}
	s.SetReadDeadline(time.Now().Add(ackTime))
	body, err := t.in.Next()
	if err != nil {
		return err
	}
	if m, err := replica.ParseMessage(body, 0); err != nil || !m.Have {
		return t.bad(replica.ErrReconcile)
	}
	return nil
}

// acknowledge answers when a write, and all of its writer before it, is here, and on
// disk if there is one.
func (d *Dict) acknowledge(ctx context.Context, t *talk, last replica.Dot) error {
	ctx, cancel := context.WithTimeout(ctx, ackTime)
	defer cancel()
	for {
		d.mu.RLock()
		has, heard := d.replica.Next(last.Writer) > last.N, d.heard
		d.mu.RUnlock()
		if has {
			break
		}
		select {
		case <-heard:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := d.flush(); err != nil {
		return err
	}
	return t.send(nil, (&replica.Message{Have: true}).Append(nil))
}

// flush returns when all that is here is on disk, if there is one.
func (d *Dict) flush() error {
	d.mu.Lock()
	if d.store == nil || d.failed != nil {
		defer d.mu.Unlock()
		return d.failed
	}
	wait, err := d.store.begin(replica.Effects{}, d.now().Count)
	d.mu.Unlock()
	if err != nil {
		return err
	}
	return wait()
}
