package sync

import (
	"context"
	"crypto/rand"
	"errors"
	"iter"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/p2p-today/go2p/internal/frame"
	"github.com/p2p-today/go2p/mesh"
	"github.com/p2p-today/go2p/sync/internal/replica"
	"github.com/p2p-today/go2p/sync/internal/schedule"
)

// Protocol is what two replicas catch up with each other over. Who opens a stream sends
// its parameters and asks for a comparison, or asks whether the other has a write.
const Protocol protocol.ID = "/go2p/sync/1.0.0"

const (
	maxFrame    = 4 << 20          // a message
	frameTime   = 10 * time.Second // for one message, to come or to go
	sessionTime = 10 * time.Minute
	inFlight    = 2 * time.Second // what is younger is on its way to others by itself
	ackTime     = time.Minute     // how long a question for a write waits
	maxServed   = 16              // streams of one neighbour
	maxUseless  = 64 << 20        // bytes of records in a session that bring nothing
)

// errBusy says that a neighbour catches up with another one.
var errBusy = errors.New("busy with another replica")

// follow keeps up with who is a neighbour.
func (d *Dict) follow(events iter.Seq2[mesh.Event, error]) {
	for ev, err := range events {
		switch {
		case errors.Is(err, mesh.ErrLagged):
			d.wg.Go(func() { d.follow(d.mesh.Events(d.ctx)) })
			for _, p := range d.mesh.Peers() {
				d.meet(p.ID)
			}
			return
		case err != nil:
			return
		case ev.Kind == mesh.EventPeerUp:
			d.meet(ev.Peer)
		case ev.Kind == mesh.EventPeerDown:
			d.levelMu.Lock()
			d.levels.Leave(string(ev.Peer))
			d.tellMet()
			d.levelMu.Unlock()
		}
	}
}

// meet notes a neighbour that is there anew, or takes part in the topic from now on.
func (d *Dict) meet(p peer.ID) {
	d.levelMu.Lock()
	d.levels.Join(time.Now(), string(p))
	d.tellMet()
	d.levelMu.Unlock()
	d.wakeLoop()
}

// tellMet ends the waiting for news of neighbours. The caller holds levelMu.
func (d *Dict) tellMet() {
	close(d.met)
	d.met = make(chan struct{})
}

func (d *Dict) wakeLoop() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// catchUp compares this replica with the neighbours when it is time to.
func (d *Dict) catchUp() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-d.ctx.Done():
			return
		case <-d.wake:
		case <-timer.C:
		}
		paths := map[peer.ID]bool{}
		for _, p := range d.mesh.Peers() {
			paths[p.ID] = p.Path == mesh.PathRelay
		}
		d.levelMu.Lock()
		d.levels.SetRelayed(func(id string) bool { return paths[peer.ID(id)] })
		for _, id := range d.levels.Advance(time.Now()).Begin {
			d.wg.Go(func() { d.compare(peer.ID(id)) })
		}
		timer.Reset(time.Until(d.levels.Deadline(time.Now())))
		d.levelMu.Unlock()
	}
}

// compare compares this replica with a neighbour, and notes what came of it.
func (d *Dict) compare(p peer.ID) {
	news, err := d.ask(p)
	how := schedule.InSync
	if refusal, ok := errors.AsType[*RefusedError](err); ok {
		how = schedule.Refused
		d.refused(refusal)
	} else if errors.Is(err, errBusy) {
		how = schedule.Busy
	} else if err != nil {
		how = schedule.Failed
		d.log.Debug("cannot catch up", "peer", p, "err", err)
	}
	d.stats.sessions.Add(1)
	if err == nil {
		d.mu.Lock()
		d.full = false
		d.mu.Unlock()
	}
	d.levelMu.Lock()
	d.levels.Done(time.Now(), string(p), how, err)
	if news {
		d.levels.News(time.Now(), string(p))
	}
	d.tellMet()
	d.levelMu.Unlock()
	d.wakeLoop()
}

// ask opens a session with a neighbour, and tells whether it has brought news.
func (d *Dict) ask(p peer.ID) (news bool, err error) {
	ctx, cancel := context.WithTimeout(d.ctx, sessionTime)
	defer cancel()
	s, err := d.service.NewStream(ctx, p, Protocol)
	if err != nil {
		return false, err
	}
	defer context.AfterFunc(ctx, func() { s.Reset() })()
	t := d.newTalk(s, true)
	var salt [replica.SaltLength]byte
	rand.Read(salt[:])
	mine := d.rules.Params()
	d.mu.RLock()
	root := t.session.Start(salt[:])
	d.mu.RUnlock()
	if err = t.send(frame.Append(nil, (&replica.Message{Params: &mine}).Append(nil)), root.Append(nil)); err == nil {
		err = t.run()
	}
	if err != nil {
		s.Reset()
		return t.news, err
	}
	return t.news, s.Close()
}

// serve handles a stream of a neighbour.
func (d *Dict) serve(s network.Stream) {
	p := s.Conn().RemotePeer()
	if !d.begin() {
		s.Reset()
		return
	}
	defer d.wg.Done()
	d.levelMu.Lock()
	full := d.serving[p] >= maxServed
	if !full {
		d.serving[p]++
	}
	d.levelMu.Unlock()
	if full {
		s.Reset()
		return
	}
	defer func() {
		d.levelMu.Lock()
		if d.serving[p]--; d.serving[p] == 0 {
			delete(d.serving, p)
		}
		d.levelMu.Unlock()
	}()
	ctx, cancel := context.WithTimeout(d.ctx, sessionTime)
	defer cancel()
	defer context.AfterFunc(ctx, func() { s.Reset() })()
	if err := d.answer(ctx, s); err != nil && !errors.Is(err, errBusy) {
		s.Reset()
		d.log.Debug("session", "peer", p, "err", err)
		return
	}
	s.Close()
}

func (d *Dict) answer(ctx context.Context, s network.Stream) error {
	p := s.Conn().RemotePeer()
	t := d.newTalk(s, false)
	first, err := t.receive()
	switch {
	case err != nil:
		return err
	case first.Ask != nil:
		return d.acknowledge(ctx, t, *first.Ask)
	case first.Params == nil:
		return t.bad(replica.ErrReconcile)
	}
	if mine := d.rules.Params(); *first.Params != mine {
		d.refused(&RefusedError{Peer: p.String(), Mine: mine.Duration(), Theirs: first.Params.Duration()})
		d.levelMu.Lock()
		d.levels.Found(time.Now(), string(p), &RefusedError{Peer: p.String(), Mine: mine.Duration(), Theirs: first.Params.Duration()})
		d.tellMet()
		d.levelMu.Unlock()
		return t.send(nil, (&replica.Message{Refused: &mine}).Append(nil))
	}
	err = t.run()
	d.levelMu.Lock()
	if err == nil {
		d.levels.Found(time.Now(), string(p), nil)
	}
	if t.news {
		d.levels.News(time.Now(), string(p))
	}
	d.tellMet()
	d.levelMu.Unlock()
	d.wakeLoop()
	return err
}

// refused reports a neighbour with other parameters, once while they are the same.
func (d *Dict) refused(e *RefusedError) {
	d.levelMu.Lock()
	id, _ := peer.Decode(e.Peer)
	known := d.levels.Refuse(string(id), e) // both ends may find it out at the same time, and it is told once
	d.levelMu.Unlock()
	if known {
		return
	}
	d.log.Warn("dictionary not shared", "peer", e.Peer, "err", e)
	d.happen(Event{Kind: EventRefused, Peer: e.Peer, Err: e})
}

// isBusy tells whether this replica catches up with another one than p.
func (d *Dict) isBusy(p peer.ID) bool {
	d.levelMu.Lock()
	defer d.levelMu.Unlock()
	if d.levels.Running(string(p)) {
		return p.String() > d.rules.Self // of two that ask each other one is answered
	}
	return d.levels.Busy(time.Now())
}
