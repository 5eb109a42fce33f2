package mesh

import (
	"context"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/mesh/internal/repair"
)

// A ackQuery is a question to all neighbours and who has not answered it.
type ackQuery struct {
	silent map[peer.ID]bool
	asked  int
	done   chan struct{} // closed when nobody is silent any more
}

// Delivered asks the neighbours that were there when a message was broadcast, and still
// are, whether they have it. It returns how many have said so when all have, or, with
// the context's error, when the context ends. A neighbour says so within about 50 ms.
func (m *Mesh) Delivered(ctx context.Context, r Receipt) (int, error) {
	if r.seq == 0 {
		return 0, fmt.Errorf("mesh: taken: the receipt is of no broadcast")
	}
	n, err := m.queryAcks(ctx, repair.Interval{First: r.seq, Last: r.seq}, r.time)
	if err != nil {
		err = fmt.Errorf("mesh: taken: %w", err)
	}
	return n, err
}

// queryAcks asks the members that came before a time whether they have a stretch of this
// run, and returns how many have said so.
func (m *Mesh) queryAcks(ctx context.Context, stretch repair.Interval, before time.Time) (int, error) {
	s := &ackQuery{silent: map[peer.ID]bool{}, done: make(chan struct{})}
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return 0, ErrClosed
	}
	m.ackNonce++
	nonce := m.ackNonce
	m.ackQueries[nonce] = s
	for p, mb := range m.members {
		if mb.since.After(before) {
			continue
		}
		s.silent[p] = true
		s.asked++
		mb.send(controlMessage{Kind: controlAckQuery, Nonce: nonce, Range: &wireRange{
			Author: []byte(m.id), Boot: m.boot, Intervals: flatten([]repair.Interval{stretch}),
		}})
	}
	s.check()
	m.mu.Unlock()
	var err error
	select {
	case <-s.done:
	case <-ctx.Done():
		err = ctx.Err()
	case <-m.ctx.Done():
		err = ErrClosed
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.ackQueries, nonce)
	return s.asked - len(s.silent), err
}

// check ends the waiting when nobody is silent. The caller holds Mesh.mu.
func (s *ackQuery) check() {
	if len(s.silent) == 0 {
		close(s.done)
	}
}

// handleAck takes a neighbour's answer.
func (m *Mesh) handleAck(p peer.ID, nonce uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.ackQueries[nonce]; s != nil && s.silent[p] {
		delete(s.silent, p)
		s.check()
	}
}

// dropFromAckQueries takes a peer that has gone out of all surveys. The caller holds mu.
func (m *Mesh) dropFromAckQueries(p peer.ID) {
	for _, s := range m.ackQueries {
		if s.silent[p] {
			delete(s.silent, p)
			s.asked--
			s.check()
		}
	}
}
