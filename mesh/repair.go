package mesh

import (
	"context"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/mesh/internal/repair"
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
		out := m.history.Advance(now)
		due = m.history.Deadline(now)
		m.historyMu.Unlock()
		m.perform(out)
		if due.IsZero() {
			due = now.Add(time.Hour)
		}
		timer.Reset(time.Until(due))
	}
}

func (m *Mesh) perform(out repair.Effects) {
	for _, t := range out.Announce {
		msg := linkMessage{Kind: linkHeads}
		for _, hd := range t.Haves {
			msg.Heads = append(msg.Heads, wireHead{
				Author: []byte(hd.Run.Author), Boot: hd.Run.Boot, Low: hd.Low, High: hd.High,
				Age: uint64(hd.Age.Milliseconds()), Urgent: hd.Urgent,
			})
		}
		m.tellMember(peer.ID(t.To), msg)
	}
	for _, f := range out.Fetch {
		m.tellMember(peer.ID(f.To), linkMessage{Kind: linkFetch, Range: &wireRange{
			Author: []byte(f.Run.Author), Boot: f.Run.Boot, Stretches: onLink(f.Intervals),
		}})
	}
	for _, q := range out.Ack {
		m.tellMember(peer.ID(q.From), linkMessage{Kind: linkAnswer, Nonce: q.Nonce})
	}
	for _, l := range out.Lost {
		gap := Gap{Author: peer.ID(l.Run.Author), Boot: l.Run.Boot, First: l.First, Last: l.Last}
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
	heads := make([]repair.Have, 0, len(wire))
	look := m.stale
	for _, hd := range wire {
		author, err := peer.IDFromBytes(hd.Author)
		if err != nil || author == m.id {
			continue
		}
		heads = append(heads, repair.Have{
			Run: repair.Run{Author: string(author), Boot: hd.Boot}, Low: hd.Low, High: hd.High,
			Age: milliseconds(hd.Age), Urgent: hd.Urgent,
		})
		if hd.Urgent {
			look = m.urgent
		}
	}
	m.historyMu.Lock()
	m.history.Hear(time.Now(), string(mb.id), heads)
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
		m.history.Ask(repair.AckQuery{From: string(mb.id), Nonce: nonce, Run: r.run(), Interval: s})
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
	f := repair.Fetch{Run: r.run(), Intervals: r.spans()}
	m.historyMu.Lock()
	records, ages := m.history.Serve(time.Now(), f)
	m.historyMu.Unlock()
	msg := linkMessage{Kind: linkServe, Range: r}
	for i, rec := range records {
		msg.Batches = append(msg.Batches, agedData{Data: rec.Data, Age: uint64(ages[i].Milliseconds())})
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
	ctx, cancel := context.WithTimeout(m.ctx, repair.FetchTimeout)
	defer cancel()
	for _, b := range batches {
		m.inbox.half(ctx)
		fresh, err := m.takeOver(mb.id, b.Data, milliseconds(b.Age))
		if err != nil {
			m.badBatch(mb.id, fmt.Errorf("fetched: %w", err))
		}
		if fresh && repair.Gossiped(len(b.Data)) {
			m.stats.repairedBroadcasts.Add(1)
		}
	}
	m.historyMu.Lock()
	m.history.Done(time.Now(), string(mb.id), r.run())
	m.historyMu.Unlock()
	signal(m.urgent) // there may be more to fetch
}

// noteOwn puts this peer's own batch into the history.
func (m *Mesh) noteOwn(first uint64, count int, sealed []byte) {
	now := time.Now()
	m.historyMu.Lock()
	m.history.Keep(now, m.history.Receive(now, repair.Record{Run: m.run(), First: first, Count: count, Data: sealed}, 0))
	m.historyMu.Unlock()
	m.noted(len(sealed))
}

// noted has the repair look at the history, which has got a batch of this size.
func (m *Mesh) noted(size int) {
	if repair.Gossiped(size) {
		signal(m.stale)
	} else {
		signal(m.urgent)
	}
}

// spread gives a batch of somebody with whom gossipsub is of no use, or of this peer,
// to gossipsub and to the members that it passes over. Those that are too large for
// it are fetched.
func (m *Mesh) spread(data []byte, age time.Duration, from peer.ID) error {
	if !repair.Gossiped(len(data)) {
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
