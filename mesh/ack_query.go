package mesh

import (
	"context"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/mesh/internal/repair"
)

// ackQueries owns the questions to neighbours whether they have certain broadcasts of this
// peer. Its mutex guards them; that of membership is locked with it held.
type ackQueries struct {
	*local
	members *membership

	mu      sync.Mutex
	nonce   uint64 // of the last
	waiting map[uint64]*ackQuery
}

// An ackQuery is a question to several neighbours, and who has not answered it.
type ackQuery struct {
	silent map[peer.ID]bool
	asked  int
	done   chan struct{} // closed when nobody is silent any more
}

func newAckQueries(members *membership) *ackQueries {
	return &ackQueries{local: members.local, members: members, waiting: map[uint64]*ackQuery{}}
}

// ask asks the members that came before a time whether they have an interval of this
// run's broadcasts, and returns how many have said so.
func (qs *ackQueries) ask(ctx context.Context, interval repair.Interval, before time.Time) (int, error) {
	if qs.group.Sealed() {
		return 0, ErrClosed
	}
	q, nonce := qs.open(interval, before)
	var err error
	select {
	case <-q.done:
	case <-ctx.Done():
		err = ctx.Err()
	case <-qs.ctx().Done():
		err = ErrClosed
	}
	qs.mu.Lock()
	defer qs.mu.Unlock()
	delete(qs.waiting, nonce)
	return q.asked - len(q.silent), err
}

func (qs *ackQueries) open(interval repair.Interval, before time.Time) (q *ackQuery, nonce uint64) {
	q = &ackQuery{silent: map[peer.ID]bool{}, done: make(chan struct{})}
	qs.mu.Lock()
	defer qs.mu.Unlock()
	qs.nonce++
	qs.waiting[qs.nonce] = q
	for _, mb := range qs.members.before(before) {
		q.silent[mb.id] = true
		q.asked++
		mb.send(controlMessage{Kind: controlAckQuery, Nonce: qs.nonce, Range: &wireRange{
			Author: []byte(qs.id), Boot: qs.boot, Intervals: flatten([]repair.Interval{interval}),
		}})
	}
	q.check()
	return q, qs.nonce
}

// check ends the waiting when nobody is silent. The caller holds the mutex.
func (q *ackQuery) check() {
	if len(q.silent) == 0 {
		close(q.done)
	}
}

// handleAck takes a neighbour's answer.
func (qs *ackQueries) handleAck(p peer.ID, nonce uint64) {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	if q := qs.waiting[nonce]; q != nil && q.silent[p] {
		delete(q.silent, p)
		q.check()
	}
}

// left does not wait any more for a peer that is no member now.
func (qs *ackQueries) left(p peer.ID) {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	for _, q := range qs.waiting {
		if q.silent[p] {
			delete(q.silent, p)
			q.asked--
			q.check()
		}
	}
}
