package mesh

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/internal/value"
	"github.com/p2p-today/go2p/mesh/internal/batch"
	"github.com/p2p-today/go2p/mesh/internal/peerlimit"
	"github.com/p2p-today/go2p/mesh/internal/repair"
)

const batchPurpose = "go2p-batch-1"

// errForeign says that a batch is not signed by its author for this network.
var errForeign = errors.New("broadcast with a bad signature")

// A broadcaster sends this peer's broadcasts and takes those of others, in batches: by
// gossip, by the control streams of members that gossip passes over, and by repair. Its
// state is in its parts, which lock for themselves.
type broadcaster struct {
	*local
	members    *membership
	bans       *bans
	dispatcher *dispatcher
	repairer   *repairer
	acks       *ackQueries
	relays     *relays
	outbox     *outbox
	topic      *Topic // of batches; set by start
}

func newBroadcaster(members *membership, bans *bans, dispatcher *dispatcher) *broadcaster {
	return &broadcaster{
		local: members.local, members: members, bans: bans, dispatcher: dispatcher,
		repairer: newRepairer(members), acks: newAckQueries(members), relays: newRelays(), outbox: newOutbox(),
	}
}

// start begins to exchange batches, until the mesh ends.
func (b *broadcaster) start(g *gossip) (err error) {
	b.topic, err = g.join("mesh", b.validate, b.members.setSubscribed)
	if err == nil {
		b.group.Go(b.repairer.run)
		b.group.Go(b.publish)
	}
	return err
}

// A Receipt tells what became of a broadcast.
type Receipt struct {
	ID         string // as the others see it
	Neighbours int    // members this peer was connected to when it sent

	seq  uint64
	time time.Time
}

// broadcast sends packets, and shows them to the observers.
func (b *broadcaster) broadcast(ctx context.Context, packets []any) (Receipt, error) {
	data, err := encodePackets(packets)
	if err != nil {
		return Receipt{}, err
	}
	msg := batch.Message{Time: b.clock().UnixMilli(), Packets: data}
	r, err := b.send(ctx, msg)
	if err == nil && b.dispatcher.observed() {
		b.showOwn(msg, r)
	}
	return r, err
}

// relay sends packets from another network, and handles them here, too, unless somebody has
// relayed them before.
func (b *broadcaster) relay(ctx context.Context, from Relayed, packets []any) (Receipt, error) {
	data, err := from.encode(packets)
	if err != nil {
		return Receipt{}, err
	}
	msg := Message{
		ID: from.messageID(), Kind: Broadcast, From: b.id, Time: from.Time,
		Origin: from.Origin, OriginID: from.ID, size: len(data),
	}
	if _, msg.Packets, err = decodePackets(data); err != nil {
		return Receipt{}, err
	}
	if !b.relays.first(msg.ID) {
		return Receipt{ID: msg.ID}, nil
	}
	r, err := b.send(ctx, batch.Message{Time: from.Time.UnixMilli(), Packets: data})
	if err != nil {
		return Receipt{}, err
	}
	r.ID = msg.ID
	b.dispatcher.enqueue(msg)
	return r, nil
}

// send puts a message in the outbox, and publishes a batch if nobody else does.
func (b *broadcaster) send(ctx context.Context, msg batch.Message) (Receipt, error) {
	if err := b.members.awaitSubscribers(ctx); err != nil {
		return Receipt{}, err
	}
	seq, publish, err := b.outbox.put(ctx, msg)
	if err != nil {
		return Receipt{}, err
	}
	if publish {
		b.publishOne()
	}
	b.stats.sentBroadcasts.Add(1)
	return Receipt{
		ID: messageID(Broadcast, b.id, b.boot, seq), Neighbours: b.members.count(), seq: seq, time: time.Now(),
	}, nil
}

// showOwn shows a broadcast of this peer to the observers.
func (b *broadcaster) showOwn(msg batch.Message, r Receipt) {
	packets, err := value.Unmarshal(msg.Packets)
	if err != nil {
		return // of what was encoded here
	}
	b.dispatcher.show(Message{
		ID: r.ID, Kind: Broadcast, From: b.id, Time: time.UnixMilli(msg.Time), Packets: packets,
		boot: b.boot, seq: r.seq,
	})
}

// publishOne publishes one batch, and leaves the rest to the loop of publish: a call of
// Broadcast does not work for others for long.
func (b *broadcaster) publishOne() {
	first, messages := b.outbox.next()
	b.publishBatch(first, messages)
	b.outbox.handed.Set()
}

// publish goes on where publishOne leaves off, until the mesh ends.
func (b *broadcaster) publish() {
	for {
		select {
		case <-b.ctx().Done():
			return
		case <-b.outbox.handed.C():
		}
		for {
			first, messages := b.outbox.next()
			if len(messages) == 0 {
				break
			}
			b.publishBatch(first, messages)
		}
	}
}

func (b *broadcaster) publishBatch(first uint64, messages []batch.Message) {
	sealed, err := b.seal(first, messages)
	if err == nil {
		own := repair.Record{Run: b.ownRun(), First: first, Count: len(messages), Data: sealed}
		b.repairer.keep(b.repairer.receive(own, 0))
		err = b.forward(sealed, 0, b.id)
	}
	if err != nil && b.ctx().Err() == nil {
		b.log.Error("cannot publish", "err", err)
	}
}

// seal signs messages, which are numbered from seq on, as one batch.
func (b *broadcaster) seal(seq uint64, messages []batch.Message) ([]byte, error) {
	unsigned := batch.Batch{Author: []byte(b.id), Boot: b.boot, Seq: seq, Messages: messages}
	body := unsigned.AppendBody(make([]byte, 0, unsigned.Size()))
	sig, err := b.sign(batchPurpose, body)
	if err != nil {
		return nil, err
	}
	return batch.Append(make([]byte, 0, len(body)+len(sig)+batch.EntryOverhead), body, sig), nil
}

// forward gives a batch of this peer, or of a member that gossipsub passes over, to
// gossipsub and to the members that it passes over. Batches that are too large for
// gossip are fetched.
func (b *broadcaster) forward(data []byte, age time.Duration, from peer.ID) error {
	if !repair.Gossiped(len(data)) {
		return nil
	}
	b.push(data, age, from)
	return b.topic.Publish(b.ctx(), data)
}

// push hands a batch to the members that are connected by way of a relay only, and
// which gossipsub passes over, but not back to the member that it is from.
func (b *broadcaster) push(data []byte, age time.Duration, from peer.ID) {
	for _, p := range b.members.ids() {
		if p != from && b.members.isLimited(p) {
			batches := []agedData{{Data: data, Age: uint64(age.Milliseconds())}}
			b.members.send(p, controlMessage{Kind: controlPush, Batches: batches})
		}
	}
}

// handlePush takes batches from a member that gossipsub passes over, and forwards them.
func (b *broadcaster) handlePush(mb *member, batches []agedData) {
	for _, pushed := range batches {
		age := milliseconds(pushed.Age)
		fresh, err := b.accept(mb.id, pushed.Data, age)
		if err != nil {
			b.bans.badBatch(mb.id, fmt.Errorf("pushed: %w", err))
		}
		if !fresh {
			continue
		}
		if err := b.forward(pushed.Data, age, mb.id); err != nil {
			b.log.Debug("cannot pass on", "err", err)
		}
	}
}

// handleBatches takes the answer to a fetch.
func (b *broadcaster) handleBatches(mb *member, fetched *wireRange, batches []agedData) {
	if fetched == nil {
		return
	}
	// What is fetched is not in a hurry, and may be a minute's worth of broadcasts: it
	// waits for the handlers, within reason, rather than crowd something out.
	ctx, cancel := context.WithTimeout(b.ctx(), repair.FetchTimeout)
	defer cancel()
	for _, fetched := range batches {
		b.dispatcher.inbox.awaitHalfFree(ctx)
		fresh, err := b.accept(mb.id, fetched.Data, milliseconds(fetched.Age))
		if err != nil {
			b.bans.badBatch(mb.id, fmt.Errorf("fetched: %w", err))
		}
		if fresh && repair.Gossiped(len(fetched.Data)) {
			b.stats.repairedBroadcasts.Add(1)
		}
	}
	b.repairer.answered(mb, fetched)
}

// validate decides about a batch that gossip has brought from a neighbour: what is not
// properly signed goes no further, what was handled before neither, and what is new goes to
// the inbox and to the other neighbours.
func (b *broadcaster) validate(from peer.ID, data []byte) Verdict {
	fresh, err := false, ErrTooLarge // to be gossiped
	if repair.Gossiped(len(data)) {
		fresh, err = b.accept(from, data, 0)
	}
	if err != nil {
		b.bans.badBatch(from, err)
		return Reject
	}
	if !fresh {
		return Ignore
	}
	b.bans.count(from, peerlimit.UselessBytes, -len(data))
	b.push(data, 0, from)
	return Pass
}

// accept checks a batch of the given age that came from a neighbour, notes it in
// the history and puts those of its messages in the inbox that are new. Without any
// it is not fresh.
//
// Of what comes straight from its author the connection proves the author, as it does
// for a whisper: it is handled first, and the signature checked before it is kept or
// passed on. docs/design.md has what that saves.
func (b *broadcaster) accept(from peer.ID, data []byte, age time.Duration) (fresh bool, err error) {
	scanned, err := batch.Scan(data)
	if err != nil {
		return false, fmt.Errorf("%w: %w", errForeign, err)
	}
	author, err := peer.IDFromBytes(scanned.Author)
	if err != nil {
		return false, fmt.Errorf("%w: %w", errForeign, err)
	}
	if author == b.id { // it came back
		return false, nil
	}
	run := repair.Run{Author: string(author), Boot: scanned.Boot}
	if last := scanned.Seq + uint64(len(scanned.Messages)) - 1; scanned.Seq != 0 && last >= scanned.Seq &&
		b.repairer.has(run, repair.Interval{First: scanned.Seq, Last: last}) {
		return false, nil // gossip and repair brought it, and it was checked then
	}
	signed := func() bool { return b.verify(author, batchPurpose, scanned.Body, scanned.Sig) }
	straight := from == author
	if !straight && !signed() {
		return false, errForeign
	}
	messages, err := messagesOf(&scanned, author)
	if err != nil {
		return false, err
	}
	a := b.repairer.receive(repair.Record{Run: run, First: scanned.Seq, Count: len(messages), Data: data}, age)
	if len(a.Fresh) == 0 {
		return false, nil
	}
	if b.bans.count(author, peerlimit.Authored, len(a.Fresh)) || b.bans.count(author, peerlimit.AuthoredBytes, len(data)) {
		for _, i := range a.Fresh {
			b.dispatcher.drop(messages[i])
		}
		return false, nil // it goes no further from here
	}
	for _, i := range a.Fresh {
		if messages[i].Origin != "" && !b.relays.first(messages[i].ID) {
			continue // another member has relayed it
		}
		b.dispatcher.enqueue(messages[i])
	}
	if straight {
		runtime.Gosched() // to the handler
		if !signed() {
			return false, errForeign
		}
	}
	b.repairer.keep(a)
	return true, nil
}

// messagesOf decodes the messages of a batch whose signature holds.
func messagesOf(b *batch.Batch, author peer.ID) ([]Message, error) {
	if b.Seq == 0 || b.Seq+uint64(len(b.Messages)) < b.Seq {
		return nil, fmt.Errorf("broadcast with the number %d, and %d more", b.Seq, len(b.Messages))
	}
	messages := make([]Message, len(b.Messages))
	for i, bm := range b.Messages {
		from, packets, err := decodePackets(bm.Packets)
		if err != nil {
			return nil, err
		}
		id := messageID(Broadcast, author, b.Boot, b.Seq+uint64(i))
		if from.Origin != "" {
			id = from.messageID()
		}
		messages[i] = Message{
			ID: id, Kind: Broadcast, From: author,
			Time: time.UnixMilli(bm.Time), Packets: packets, Origin: from.Origin, OriginID: from.ID,
			size: len(bm.Packets), boot: b.Boot, seq: b.Seq + uint64(i),
		}
	}
	return messages, nil
}

// flush gives what was broadcast in the last two seconds as long to reach the
// neighbours: published is not written yet. A peer that lacks older broadcasts fetches
// them from others.
func (b *broadcaster) flush() {
	ctx, cancel := context.WithTimeout(b.ctx(), flushTime)
	defer cancel()
	last, err := b.outbox.flush(ctx)
	now := time.Now()
	if first := b.repairer.since(now.Add(-flushTime)); err == nil && first != 0 {
		_, err = b.acks.ask(ctx, repair.Interval{First: first, Last: last}, now)
	}
	if err != nil {
		b.log.Warn("closed before all neighbours had the last broadcasts", "err", err)
	}
}
