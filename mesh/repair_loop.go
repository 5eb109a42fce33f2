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
		msg := controlMessage{Kind: controlHave}
		for _, hd := range t.Haves {
			msg.Haves = append(msg.Haves, wireHave{
				Author: []byte(hd.Run.Author), Boot: hd.Run.Boot, Low: hd.Low, High: hd.High,
				Age: uint64(hd.Age.Milliseconds()), Urgent: hd.Urgent,
			})
		}
		m.sendTo(peer.ID(t.To), msg)
	}
	for _, f := range out.Fetch {
		m.sendTo(peer.ID(f.To), controlMessage{Kind: controlFetch, Range: &wireRange{
			Author: []byte(f.Run.Author), Boot: f.Run.Boot, Intervals: flatten(f.Intervals),
		}})
	}
	for _, q := range out.Ack {
		m.sendTo(peer.ID(q.From), controlMessage{Kind: controlAck, Nonce: q.Nonce})
	}
	for _, l := range out.Lost {
		gap := Gap{Author: peer.ID(l.Run.Author), Boot: l.Run.Boot, First: l.First, Last: l.Last}
		m.stats.lostBroadcasts.Add(gap.Last - gap.First + 1)
		m.log.Warn("broadcasts lost", "author", gap.Author, "first", gap.First, "last", gap.Last)
		m.events.Publish(Event{Kind: EventGap, Peer: gap.Author, Time: time.Now(), Gap: gap})
	}
}

func (m *Mesh) sendTo(p peer.ID, msg controlMessage) {
	if mb := m.member(p); mb != nil {
		mb.send(msg)
	}
}

// handleHave takes the heads that a neighbour tells.
func (m *Mesh) handleHave(mb *member, wire []wireHave) {
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

// handleAckQuery takes a neighbour's question, which is answered when it can be.
func (m *Mesh) handleAckQuery(mb *member, nonce uint64, r *wireRange) {
	if r == nil {
		return
	}
	m.historyMu.Lock()
	for _, s := range r.intervals() {
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

// handleFetch answers a fetch, also if there is nothing to serve.
func (m *Mesh) handleFetch(mb *member, r *wireRange) {
	if r == nil {
		return
	}
	f := repair.Fetch{Run: r.run(), Intervals: r.intervals()}
	m.historyMu.Lock()
	records, ages := m.history.Serve(time.Now(), f)
	m.historyMu.Unlock()
	msg := controlMessage{Kind: controlBatches, Range: r}
	for i, rec := range records {
		msg.Batches = append(msg.Batches, agedData{Data: rec.Data, Age: uint64(ages[i].Milliseconds())})
	}
	mb.send(msg)
}

// handleBatches takes the answer to a fetch.
func (m *Mesh) handleBatches(mb *member, r *wireRange, batches []agedData) {
	if r == nil {
		return
	}
	// What is fetched is not in a hurry, and may be a minute's worth of broadcasts: it
	// waits for the handlers, within reason, rather than crowd something out.
	ctx, cancel := context.WithTimeout(m.ctx, repair.FetchTimeout)
	defer cancel()
	for _, b := range batches {
		m.inbox.awaitHalfFree(ctx)
		fresh, err := m.acceptBatch(mb.id, b.Data, milliseconds(b.Age))
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

// recordOwn puts this peer's own batch into the history.
func (m *Mesh) recordOwn(first uint64, count int, sealed []byte) {
	now := time.Now()
	m.historyMu.Lock()
	m.history.Keep(now, m.history.Receive(now, repair.Record{Run: m.run(), First: first, Count: count, Data: sealed}, 0))
	m.historyMu.Unlock()
	m.wakeRepair(len(sealed))
}

// wakeRepair has the repair look at the history, which has got a batch of this size.
func (m *Mesh) wakeRepair(size int) {
	if repair.Gossiped(size) {
		signal(m.stale)
	} else {
		signal(m.urgent)
	}
}

// forward gives a batch of somebody with whom gossipsub is of no use, or of this peer,
// to gossipsub and to the members that it passes over. Those that are too large for
// it are fetched.
func (m *Mesh) forward(data []byte, age time.Duration, from peer.ID) error {
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
			m.sendTo(p, controlMessage{Kind: controlPush, Batches: []agedData{{Data: data, Age: uint64(age.Milliseconds())}}})
		}
	}
}

// handlePush takes batches from a member that gossipsub passes over, and gives them to
// gossipsub and to the other such members.
func (m *Mesh) handlePush(mb *member, batches []agedData) {
	for _, b := range batches {
		age := milliseconds(b.Age)
		fresh, err := m.acceptBatch(mb.id, b.Data, age)
		if err != nil {
			m.badBatch(mb.id, fmt.Errorf("pushed: %w", err))
		}
		if !fresh {
			continue
		}
		if err := m.forward(b.Data, age, mb.id); err != nil {
			m.log.Debug("cannot pass on", "err", err)
		}
	}
}
