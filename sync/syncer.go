package sync

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/internal/lifecycle"
	"github.com/p2p-today/go2p/internal/notify"
	"github.com/p2p-today/go2p/mesh"
	"github.com/p2p-today/go2p/sync/internal/replica"
	"github.com/p2p-today/go2p/sync/internal/schedule"
)

// firstWait is how long writes wait, after the start, for the first session.
const firstWait = 2 * time.Second

// A syncer keeps this replica in sync with those of the neighbours. One loop begins the
// sessions that are due; each has a goroutine of its own. The lock guards the schedule,
// and may be taken while the commit pipeline's is held.
type syncer struct {
	mesh     *mesh.Mesh
	verifier verifier
	pipeline *commitPipeline
	clock    clock
	stats    *stats
	emit     func(Event)
	log      *slog.Logger
	life     *lifecycle.Group
	wake     notify.Flag // the loop looks at the schedule again
	settled  atomic.Bool // writes need not wait for the first session

	mu       sync.Mutex
	schedule *schedule.Schedule
	met      notify.Broadcast // there is news of a neighbour
}

func newSchedule(now time.Time) *schedule.Schedule {
	return schedule.New(now, mathrand.New(mathrand.NewPCG(mathrand.Uint64(), mathrand.Uint64())))
}

// start begins to follow the neighbours.
func (s *syncer) start() {
	events := s.mesh.Events(s.life.Context())
	s.meetAll()
	s.life.Go(func() { s.follow(events) })
	s.life.Go(s.loop)
}

func (s *syncer) meetAll() {
	for _, p := range s.mesh.Peers() {
		s.meet(p.ID)
	}
}

// follow keeps up with who is a neighbour.
func (s *syncer) follow(events iter.Seq2[mesh.Event, error]) {
	for ev, err := range events {
		switch {
		case errors.Is(err, mesh.ErrLagged):
			again := s.mesh.Events(s.life.Context())
			s.life.Go(func() { s.follow(again) })
			s.meetAll()
			return
		case err != nil:
			return
		case ev.Kind == mesh.EventPeerUp:
			s.meet(ev.Peer)
		case ev.Kind == mesh.EventPeerDown:
			s.update(func(now time.Time) { s.schedule.Leave(string(ev.Peer)) })
		}
	}
}

// meet notes a neighbour that is there anew, or takes part in the topic from now on.
func (s *syncer) meet(p peer.ID) {
	s.update(func(now time.Time) { s.schedule.Join(now, string(p)) })
}

// update changes the schedule after news of a neighbour.
func (s *syncer) update(f func(now time.Time)) {
	s.mu.Lock()
	f(time.Now())
	s.mu.Unlock()
	s.met.Notify()
	s.wake.Set()
}

// missing notes that a neighbour knows of something that is missing here.
func (s *syncer) missing(p peer.ID) {
	s.update(func(now time.Time) { s.schedule.Gap(now, string(p)) })
}

// changed notes that the replica has changed.
func (s *syncer) changed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.schedule.Changed(time.Now()) {
		s.wake.Set()
	}
}

// loop begins the sessions that are due.
func (s *syncer) loop() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-s.life.Context().Done():
			return
		case <-s.wake.C():
		case <-timer.C:
		}
		relayed := map[string]bool{}
		for _, p := range s.mesh.Peers() {
			relayed[string(p.ID)] = p.Path == mesh.PathRelay
		}
		s.mu.Lock()
		s.schedule.SetRelayed(func(id string) bool { return relayed[id] })
		for _, id := range s.schedule.Advance(time.Now()).Begin {
			s.life.Go(func() { s.compare(peer.ID(id)) })
		}
		timer.Reset(time.Until(s.schedule.Deadline(time.Now())))
		s.mu.Unlock()
	}
}

// compare runs a session with a neighbour, and notes what came of it.
func (s *syncer) compare(p peer.ID) {
	news, err := s.ask(p)
	how := schedule.InSync
	if refusal, ok := errors.AsType[*RefusedError](err); ok {
		how = schedule.Refused
		s.refused(p, refusal)
	} else if errors.Is(err, errBusy) {
		how = schedule.Busy
	} else if err != nil {
		how = schedule.Failed
		s.log.Debug("cannot catch up", "peer", p, "err", err)
	}
	s.stats.sessions.Add(1)
	if err == nil {
		s.pipeline.hasRoom()
	}
	s.update(func(now time.Time) {
		s.schedule.Done(now, string(p), how, err)
		if news {
			s.schedule.News(now, string(p))
		}
	})
}

// ask opens a session with a neighbour, and reports whether it has brought news.
func (s *syncer) ask(p peer.ID) (news bool, err error) {
	ctx, cancel := context.WithTimeout(s.life.Context(), sessionTime)
	defer cancel()
	stream, err := s.open(ctx, p)
	if err != nil {
		return false, err
	}
	defer context.AfterFunc(ctx, func() { stream.Reset() })()
	ss := newSession(stream, s.pipeline)
	ss.brought = func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.schedule.Received(time.Now())
	}
	if err := ss.ask(); err != nil {
		stream.Reset()
		return ss.news, err
	}
	return ss.news, stream.Close()
}

// open opens a stream to a neighbour.
func (s *syncer) open(ctx context.Context, p peer.ID) (*messageStream, error) {
	stream, err := s.verifier.service.NewStream(ctx, p, Protocol)
	if err != nil {
		return nil, err
	}
	return newMessageStream(stream, s.verifier, s.clock), nil
}

// answer runs a session that a neighbour has asked for with its parameters.
func (s *syncer) answer(stream *messageStream, theirs replica.Params) error {
	p := stream.peer()
	ss := newSession(stream, s.pipeline)
	if theirs != ss.mine {
		refusal := &RefusedError{Peer: p.String(), Mine: ss.mine.Duration(), Theirs: theirs.Duration()}
		s.refused(p, refusal)
		s.update(func(now time.Time) { s.schedule.Found(now, string(p), refusal) })
		return stream.send(nil, (&replica.Message{Refused: &ss.mine}).Append(nil))
	}
	ss.busy = func() bool { return s.busy(p) }
	err := ss.run()
	s.update(func(now time.Time) {
		if err == nil {
			s.schedule.Found(now, string(p), nil)
		}
		if ss.news {
			s.schedule.News(now, string(p))
		}
	})
	return err
}

// refused reports a neighbour with other parameters, once while they are the same: both
// ends may find it out at the same time.
func (s *syncer) refused(p peer.ID, e *RefusedError) {
	s.mu.Lock()
	known := s.schedule.Refuse(string(p), e)
	s.mu.Unlock()
	if !known {
		s.log.Warn("dictionary not shared", "peer", e.Peer, "err", e)
		s.emit(Event{Kind: EventRefused, Peer: e.Peer, Err: e})
	}
}

// busy reports whether this replica catches up with another one than p.
func (s *syncer) busy(p peer.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.schedule.Running(string(p)) {
		return p.String() > s.pipeline.replica.Self // of two that ask each other one is answered
	}
	return s.schedule.Busy(time.Now())
}

// awaitFirst waits until this replica has caught up with a neighbour after its start, or
// there is none, or two seconds have passed: before that it may not know what is its
// own. The error is a RefusedError if all neighbours have refused.
func (s *syncer) awaitFirst(ctx context.Context) error {
	var end <-chan time.Time
	for {
		met := s.met.C()
		s.mu.Lock()
		why := s.schedule.Refusal()
		settled := s.schedule.InSync() || s.schedule.Len() == 0
		s.mu.Unlock()
		if why != nil {
			return why
		}
		if s.settled.Load() || settled || time.Since(s.clock.started) >= firstWait {
			s.settled.Store(true)
			return nil
		}
		if end == nil {
			end = time.After(firstWait - time.Since(s.clock.started))
		}
		select {
		case <-met:
		case <-end:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// awaitInSync waits until this replica has been in sync with a neighbour.
func (s *syncer) awaitInSync(ctx context.Context) error {
	for {
		if err := s.mesh.AwaitNeighbour(ctx); err != nil {
			return err
		}
		met := s.met.C()
		s.mu.Lock()
		inSync, why := s.schedule.InSync(), s.schedule.Refusal()
		s.mu.Unlock()
		if inSync || why != nil {
			return why
		}
		select {
		case <-met:
		case <-s.life.Context().Done():
			return ErrClosed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// neighbours returns all neighbours, sorted. The channel is closed when there is news.
func (s *syncer) neighbours() (list []schedule.Neighbour, met <-chan struct{}) {
	met = s.met.C()
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(s.schedule.Neighbours(), func(a, b schedule.Neighbour) int {
		return strings.Compare(a.Peer, b.Peer)
	}), met
}
