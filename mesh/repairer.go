package mesh

import (
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/internal/notify"
	"github.com/p2p-today/go2p/mesh/internal/repair"
)

// repairPause is the time from a change of the history to a look at it, so that a
// burst of messages causes one, when the messages themselves are on their way.
const repairPause = 50 * time.Millisecond

// A repairer owns the history of broadcasts, and exchanges with neighbours what it lacks or
// they do. Its mutex guards the history; its loop performs what the history wants.
type repairer struct {
	*local
	members *membership
	soon    notify.Flag // the loop looks at the history in 50 ms
	now     notify.Flag // or at once

	mu      sync.Mutex
	history *repair.History
}

func newRepairer(members *membership) *repairer {
	return &repairer{
		local: members.local, members: members, soon: notify.NewFlag(), now: notify.NewFlag(),
		history: repair.New(newRand()),
	}
}

// run does what the history wants, until the mesh ends.
func (r *repairer) run() {
	due := time.Now().Add(time.Hour)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-r.ctx().Done():
			return
		case <-r.soon.C():
			if soon := time.Now().Add(repairPause); soon.Before(due) {
				due = soon
				timer.Reset(repairPause)
			}
			continue
		case <-r.now.C():
		case <-timer.C:
		}
		now := time.Now()
		r.mu.Lock()
		effects := r.history.Advance(now)
		due = r.history.Deadline(now)
		r.mu.Unlock()
		r.perform(effects)
		if due.IsZero() {
			due = now.Add(time.Hour)
		}
		timer.Reset(time.Until(due))
	}
}

func (r *repairer) perform(effects repair.Effects) {
	for _, a := range effects.Announce {
		msg := controlMessage{Kind: controlHave}
		for _, have := range a.Haves {
			msg.Haves = append(msg.Haves, wireHave{
				Author: []byte(have.Run.Author), Boot: have.Run.Boot, Low: have.Low, High: have.High,
				Age: uint64(have.Age.Milliseconds()), Urgent: have.Urgent,
			})
		}
		r.members.send(peer.ID(a.To), msg)
	}
	for _, f := range effects.Fetch {
		r.members.send(peer.ID(f.To), controlMessage{Kind: controlFetch, Range: &wireRange{
			Author: []byte(f.Run.Author), Boot: f.Run.Boot, Intervals: flatten(f.Intervals),
		}})
	}
	for _, q := range effects.Ack {
		r.members.send(peer.ID(q.From), controlMessage{Kind: controlAck, Nonce: q.Nonce})
	}
	r.report(effects.Lost)
	switch {
	case effects.Now:
		r.now.Set()
	case effects.Soon:
		r.soon.Set()
	}
}

// report reports broadcasts that nobody can have any more.
func (r *repairer) report(lost []repair.Loss) {
	for _, l := range lost {
		gap := Gap{Author: peer.ID(l.Run.Author), Boot: l.Run.Boot, First: l.First, Last: l.Last}
		r.stats.lostBroadcasts.Add(gap.Last - gap.First + 1)
		r.log.Warn("broadcasts lost", "author", gap.Author, "first", gap.First, "last", gap.Last)
		r.events.Publish(Event{Kind: EventGap, Peer: gap.Author, Time: time.Now(), Gap: gap})
	}
}

// joined compares the history with a new member from now on.
func (r *repairer) joined(p peer.ID, now time.Time) {
	r.mu.Lock()
	effects := r.history.Join(now, string(p))
	r.mu.Unlock()
	r.perform(effects)
}

// left ends that.
func (r *repairer) left(p peer.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.history.Leave(string(p))
}

// has reports whether all messages of an interval were handled before.
func (r *repairer) has(run repair.Run, interval repair.Interval) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.history.Has(run, interval)
}

// receive notes a batch of the given age, and returns what is new of it.
func (r *repairer) receive(rec repair.Record, age time.Duration) repair.Arrival {
	r.mu.Lock()
	a := r.history.Receive(time.Now(), rec, age)
	r.mu.Unlock()
	r.report(a.Lost)
	return a
}

// keep remembers a batch that was received, to pass it on.
func (r *repairer) keep(a repair.Arrival) {
	r.mu.Lock()
	effects := r.history.Keep(time.Now(), a)
	r.mu.Unlock()
	r.perform(effects)
}

// since returns the lowest number of this run among the batches sent at or after a time,
// 0 if there is none.
func (r *repairer) since(t time.Time) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.history.Since(r.ownRun(), t)
}

// progress notes that a member is sending something, perhaps a long answer.
func (r *repairer) progress(now time.Time, p peer.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.history.Progress(now, string(p))
}

// handleHave takes what a neighbour says that it can serve.
func (r *repairer) handleHave(mb *member, wire []wireHave) {
	haves := make([]repair.Have, 0, len(wire))
	for _, have := range wire {
		author, err := peer.IDFromBytes(have.Author)
		if err != nil || author == r.id {
			continue
		}
		haves = append(haves, repair.Have{
			Run: repair.Run{Author: string(author), Boot: have.Boot}, Low: have.Low, High: have.High,
			Age: milliseconds(have.Age), Urgent: have.Urgent,
		})
	}
	r.mu.Lock()
	effects := r.history.Hear(time.Now(), string(mb.id), haves)
	r.mu.Unlock()
	r.perform(effects)
}

// handleAckQuery takes a neighbour's question, which is answered when it can be.
func (r *repairer) handleAckQuery(mb *member, nonce uint64, wanted *wireRange) {
	if wanted == nil {
		return
	}
	for _, interval := range wanted.intervals() {
		r.mu.Lock()
		effects := r.history.Ask(repair.AckQuery{From: string(mb.id), Nonce: nonce, Run: wanted.run(), Interval: interval})
		r.mu.Unlock()
		r.perform(effects)
	}
}

// handleFetch answers a fetch, also if there is nothing to serve.
func (r *repairer) handleFetch(mb *member, wanted *wireRange) {
	if wanted == nil {
		return
	}
	f := repair.Fetch{Run: wanted.run(), Intervals: wanted.intervals()}
	r.mu.Lock()
	served := r.history.Serve(time.Now(), f)
	r.mu.Unlock()
	msg := controlMessage{Kind: controlBatches, Range: wanted}
	for _, s := range served {
		msg.Batches = append(msg.Batches, agedData{Data: s.Data, Age: uint64(s.Age.Milliseconds())})
	}
	mb.send(msg)
}

// answered notes the end of a neighbour's answer to a fetch.
func (r *repairer) answered(mb *member, fetched *wireRange) {
	r.mu.Lock()
	effects := r.history.Done(time.Now(), string(mb.id), fetched.run())
	r.mu.Unlock()
	r.perform(effects)
}
