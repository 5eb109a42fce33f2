package mesh

import (
	"context"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/mesh/internal/repair"
)

// A survey is a question to all neighbours and who has not answered it.
type survey struct {
	silent map[peer.ID]bool
	asked  int
	done   chan struct{} // closed when nobody is silent any more
}

// Taken asks the neighbours that were there when a message was broadcast, and still
// are, whether they have it. It returns how many have said so when all have, or, with
// the context's error, when the context ends. A neighbour says so within about 50 ms.
func (m *Mesh) Taken(ctx context.Context, r Receipt) (int, error) {
	if r.seq == 0 {
		return 0, fmt.Errorf("mesh: taken: the receipt is of no broadcast")
	}
	n, err := m.survey(ctx, repair.Interval{First: r.seq, Last: r.seq}, r.time)
	if err != nil {
		err = fmt.Errorf("mesh: taken: %w", err)
	}
	return n, err
}

// survey asks the members that came before a time whether they have a stretch of this
// run, and returns how many have said so.
func (m *Mesh) survey(ctx context.Context, stretch repair.Interval, before time.Time) (int, error) {
	s := &survey{silent: map[peer.ID]bool{}, done: make(chan struct{})}
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return 0, ErrClosed
	}
	m.surveyed++
	nonce := m.surveyed
	m.surveys[nonce] = s
	for p, mb := range m.members {
		if mb.since.After(before) {
			continue
		}
		s.silent[p] = true
		s.asked++
		mb.tell(linkMessage{Kind: linkAsk, Nonce: nonce, Range: &wireRange{
			Author: []byte(m.id), Boot: m.boot, Stretches: onLink([]repair.Interval{stretch}),
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
	delete(m.surveys, nonce)
	return s.asked - len(s.silent), err
}

// check ends the waiting when nobody is silent. The caller holds Mesh.mu.
func (s *survey) check() {
	if len(s.silent) == 0 {
		close(s.done)
	}
}

// hearAnswer takes a neighbour's answer.
func (m *Mesh) hearAnswer(p peer.ID, nonce uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.surveys[nonce]; s != nil && s.silent[p] {
		delete(s.silent, p)
		s.check()
	}
}

// excuse takes a peer that has gone out of all surveys. The caller holds mu.
func (m *Mesh) excuse(p peer.ID) {
	for _, s := range m.surveys {
		if s.silent[p] {
			delete(s.silent, p)
			s.asked--
			s.check()
		}
	}
}
