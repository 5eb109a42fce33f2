package mesh

import (
	"context"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// repairPause is the time from a change of the history to a look at it, so that a
// burst of messages causes one, when the messages themselves are on their way.
const repairPause = 50 * time.Millisecond

// repair does what the history wants done, until the mesh is closed.
func (m *Mesh) repair() {
	due := time.Now().Add(time.Hour)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-m.ctx.Done():
			return
		case <-m.stale:
			if soon := time.Now().Add(repairPause); soon.Before(due) {
				due = soon
				timer.Reset(repairPause)
			}
			continue
		case <-m.urgent:
		case <-timer.C:
		}
		now := time.Now()
		m.historyMu.Lock()
		out := m.history.advance(now)
		due = m.history.deadline(now)
		m.historyMu.Unlock()
		m.perform(out)
		if due.IsZero() {
			due = now.Add(time.Hour)
		}
		timer.Reset(time.Until(due))
	}
}

func (m *Mesh) perform(out repairs) {
	for _, t := range out.tell {
		msg := linkMessage{Kind: linkHeads}
		for _, hd := range t.heads {
			msg.Heads = append(msg.Heads, wireHead{
				Author: []byte(hd.run.author), Boot: hd.run.boot, Low: hd.low, High: hd.high,
				Age: uint64(hd.age.Milliseconds()), Urgent: hd.urgent,
			})
		}
		m.tellMember(peer.ID(t.to), msg)
	}
	for _, f := range out.fetch {
		m.tellMember(peer.ID(f.to), linkMessage{Kind: linkFetch, Range: &wireRange{
			Author: []byte(f.run.author), Boot: f.run.boot, Stretches: onLink(f.stretches),
		}})
	}
	for _, q := range out.answer {
		m.tellMember(peer.ID(q.from), linkMessage{Kind: linkAnswer, Nonce: q.nonce})
	}
	for _, l := range out.losses {
		gap := Gap{Author: peer.ID(l.run.author), Boot: l.run.boot, First: l.first, Last: l.last}
		m.stats.lostBroadcasts.Add(gap.Last - gap.First + 1)
		m.log.Warn("broadcasts lost", "author", gap.Author, "first", gap.First, "last", gap.Last)
		m.events.Publish(Event{Kind: EventGap, Peer: gap.Author, Time: time.Now(), Gap: gap})
	}
}

func (m *Mesh) tellMember(p peer.ID, msg linkMessage) {
	if mb := m.member(p); mb != nil {
		mb.tell(msg)
	}
}

// hearHeads takes the heads that a neighbour tells.
func (m *Mesh) hearHeads(mb *member, wire []wireHead) {
	heads := make([]head, 0, len(wire))
	look := m.stale
	for _, hd := range wire {
		author, err := peer.IDFromBytes(hd.Author)
		if err != nil || author == m.id {
			continue
		}
		heads = append(heads, head{run{string(author), hd.Boot}, hd.Low, hd.High, milliseconds(hd.Age), hd.Urgent})
		if hd.Urgent {
			look = m.urgent
		}
	}
	m.historyMu.Lock()
	m.history.hear(time.Now(), string(mb.id), heads)
	m.historyMu.Unlock()
	signal(look)
}

// hearQuestion takes a neighbour's question, which is answered when it can be.
func (m *Mesh) hearQuestion(mb *member, nonce uint64, r *wireRange) {
	if r == nil {
		return
	}
	m.historyMu.Lock()
	for _, s := range r.spans() {
		m.history.ask(question{string(mb.id), nonce, run{string(r.Author), r.Boot}, s})
	}
	m.historyMu.Unlock()
	signal(m.stale)
}

// milliseconds reads an age from the wire; what is older than anything that is kept
// makes no difference.
func milliseconds(n uint64) time.Duration {
	return time.Duration(min(n, uint64(time.Hour.Milliseconds()))) * time.Millisecond
}

// serve answers a fetch, also if there is nothing to serve.
func (m *Mesh) serve(mb *member, r *wireRange) {
	if r == nil {
		return
	}
	f := fetch{run: run{string(r.Author), r.Boot}, stretches: r.spans()}
	m.historyMu.Lock()
	records, ages := m.history.serve(time.Now(), f)
	m.historyMu.Unlock()
	msg := linkMessage{Kind: linkServe, Range: r}
	for i, rec := range records {
		msg.Batches = append(msg.Batches, agedData{Data: rec.data, Age: uint64(ages[i].Milliseconds())})
	}
	mb.tell(msg)
}

// served takes the answer to a fetch.
func (m *Mesh) served(mb *member, r *wireRange, batches []agedData) {
	if r == nil {
		return
	}
	// What is fetched is not in a hurry, and may be a minute's worth of broadcasts: it
	// waits for the handlers, within reason, rather than crowd something out.
	ctx, cancel := context.WithTimeout(m.ctx, fetchTimeout)
	defer cancel()
	for _, b := range batches {
		m.inbox.half(ctx)
		fresh, err := m.takeOver(mb.id, b.Data, milliseconds(b.Age))
		if err != nil {
			m.badBatch(mb.id, fmt.Errorf("fetched: %w", err))
		}
		if fresh && gossiped(len(b.Data)) {
			m.stats.repairedBroadcasts.Add(1)
		}
	}
	m.historyMu.Lock()
	m.history.done(time.Now(), string(mb.id), run{string(r.Author), r.Boot})
	m.historyMu.Unlock()
	signal(m.urgent) // there may be more to fetch
}

// noteOwn puts this peer's own batch into the history.
func (m *Mesh) noteOwn(first uint64, count int, sealed []byte) {
	now := time.Now()
	m.historyMu.Lock()
	m.history.keep(now, m.history.receive(now, record{run: run{string(m.id), m.boot}, first: first, count: count, data: sealed}, 0))
	m.historyMu.Unlock()
	m.noted(len(sealed))
}

// noted has the repair look at the history, which has got a batch of this size.
func (m *Mesh) noted(size int) {
	if gossiped(size) {
		signal(m.stale)
	} else {
		signal(m.urgent)
	}
}

// spread gives a batch of somebody with whom gossipsub is of no use, or of this peer,
// to gossipsub and to the members that it passes over. Those that are too large for
// it are fetched.
func (m *Mesh) spread(data []byte, age time.Duration, from peer.ID) error {
	if !gossiped(len(data)) {
		return nil
	}
	m.push(data, age, from)
	return m.topic.Publish(m.ctx, data)
}

// push hands a batch to the members that are connected by way of a relay only, and
// which gossipsub passes over, but not back to whom it is from.
func (m *Mesh) push(data []byte, age time.Duration, from peer.ID) {
	for _, p := range m.memberIDs() {
		if p != from && m.host.Network().Connectedness(p) == network.Limited {
			m.tellMember(p, linkMessage{Kind: linkPush, Batches: []agedData{{Data: data, Age: uint64(age.Milliseconds())}}})
		}
	}
}

// pushed takes batches from a member that gossipsub passes over, and gives them to
// gossipsub and to the other such members.
func (m *Mesh) pushed(mb *member, batches []agedData) {
	for _, b := range batches {
		age := milliseconds(b.Age)
		fresh, err := m.takeOver(mb.id, b.Data, age)
		if err != nil {
			m.badBatch(mb.id, fmt.Errorf("pushed: %w", err))
		}
		if !fresh {
			continue
		}
		if err := m.spread(b.Data, age, mb.id); err != nil {
			m.log.Debug("cannot pass on", "err", err)
		}
	}
}
