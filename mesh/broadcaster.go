package mesh

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/p2p-today/go2p/internal/value"
	"github.com/p2p-today/go2p/mesh/internal/batch"
	"github.com/p2p-today/go2p/mesh/internal/peerlimit"
	"github.com/p2p-today/go2p/mesh/internal/repair"
)

const batchPurpose = "go2p-batch-1"

// errForeign says that a batch is not signed by its author for this network.
var errForeign = errors.New("broadcast with a bad signature")

// contentID names a pubsub message by its topic and all its bytes.
func contentID(msg *pb.Message) string {
	h := sha256.New()
	h.Write([]byte(msg.GetTopic()))
	h.Write([]byte{0})
	h.Write(msg.GetData())
	return string(h.Sum(nil)[:16])
}

// gossipParams are the defaults with a heartbeat five times as fast: with it a new
// neighbour is grafted, and a broadcast is passed on only to those that are. What
// is counted in heartbeats keeps its time, but for how long an ID is gossiped.
func gossipParams() pubsub.GossipSubParams {
	const faster = 5
	p := pubsub.DefaultGossipSubParams()
	p.HeartbeatInterval /= faster
	p.SlowHeartbeatWarning *= faster
	p.HistoryLength *= faster
	p.IDontWantMessageTTL *= faster
	p.OpportunisticGraftTicks *= faster
	return p
}

// startGossip runs a gossipsub router for this network behind the gate. It ends
// with the mesh's context.
func (m *Mesh) startGossip() error {
	var err error
	if m.memberHost, err = newMemberHost(m); err != nil {
		return err
	}
	wire := onWire(gossipProtocol, m.tag)
	m.gossip, err = pubsub.NewGossipSub(m.ctx, m.memberHost,
		pubsub.WithGossipSubProtocols([]protocol.ID{wire}, func(f pubsub.GossipSubFeature, _ protocol.ID) bool {
			return pubsub.GossipSubDefaultFeatures(f, pubsub.GossipSubID_v12)
		}),
		pubsub.WithGossipSubParams(gossipParams()),
		pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign),
		pubsub.WithNoAuthor(),
		pubsub.WithMessageIdFn(contentID),
		pubsub.WithFloodPublish(true), // a neighbour that is not grafted yet hears us, too
		pubsub.WithSeenMessagesTTL(seenTTL),
		pubsub.WithMaxMessageSize(MaxTopicMessage+envelopeRoom),
		pubsub.WithPeerOutboundQueueSize(gossipQueue),
		pubsub.WithValidateQueueSize(gossipQueue),
		pubsub.WithLogger(m.log),
		pubsub.WithRPCLogger(slog.New(slog.DiscardHandler)), // a line an RPC
	)
	if err != nil {
		return err
	}
	name := "/go2p/" + m.tag + "/mesh"
	err = m.gossip.RegisterTopicValidator(name, m.validate, pubsub.WithValidatorInline(true))
	if err != nil {
		return err
	}
	if m.topic, err = m.gossip.Join(name); err != nil {
		return err
	}
	// A relay takes part in a topic as a subscription does, but without a
	// queue of pubsub's, which drops what it has no room for: judge passes
	// everything on itself.
	if _, err = m.topic.Relay(); err != nil {
		return err
	}
	topicEvents, err := m.topic.EventHandler()
	if err != nil {
		return err
	}
	m.wg.Go(func() { m.watchTopic(topicEvents) })
	return nil
}

// watchTopic notes which members gossipsub knows as subscribers.
func (m *Mesh) watchTopic(events *pubsub.TopicEventHandler) {
	defer events.Cancel()
	for {
		ev, err := events.NextPeerEvent(m.ctx)
		if err != nil {
			return
		}
		m.mu.Lock()
		if mb := m.members[ev.Peer]; mb != nil {
			mb.subscribed = ev.Type == pubsub.PeerJoin
			m.notifyChange()
		}
		m.mu.Unlock()
	}
}

// A Receipt tells what became of a broadcast.
type Receipt struct {
	ID         string // as the others see it
	Neighbours int    // members this peer was connected to when it sent

	seq  uint64
	time time.Time
}

// Broadcast sends a message to all members of the network. It returns when the
// message is in the outbox, from which it goes out at once, or together with others
// that wait there; with the outbox full it waits for room. Close sends what is left.
// Without neighbours a message reaches those who come within the minute that
// members remember it, which may be nobody; that is no error. Neighbours that came
// within the last second are waited for until they can hear it, at most for that
// second. Errors: *TypeError, ErrTooLarge, ErrClosed, or the context's.
func (m *Mesh) Broadcast(ctx context.Context, packets ...any) (Receipt, error) {
	var r Receipt
	data, err := encodePackets(packets)
	bm := batch.Message{Time: wallClock(m.id).UnixMilli(), Packets: data}
	if err == nil {
		r, err = m.broadcast(ctx, bm)
	}
	if err != nil {
		return Receipt{}, fmt.Errorf("mesh: broadcast: %w", err)
	}
	m.showOwn(bm, r)
	return r, nil
}

// broadcast sends a message.
func (m *Mesh) broadcast(ctx context.Context, bm batch.Message) (Receipt, error) {
	if err := m.awaitSubscribers(ctx); err != nil {
		return Receipt{}, err
	}
	seq, send, err := m.outbox.put(ctx, bm)
	if err != nil {
		return Receipt{}, err
	}
	if send {
		m.publishOne()
	}
	m.stats.sentBroadcasts.Add(1)
	m.mu.Lock()
	defer m.mu.Unlock()
	return Receipt{messageID(Broadcast, m.id, m.boot, seq), len(m.members), seq, time.Now()}, nil
}

func encodePackets(packets []any) ([]byte, error) {
	v, err := value.Normalize(append([]any{}, packets...))
	if err != nil {
		return nil, err
	}
	data, err := value.Marshal(v.([]any))
	if err == nil && len(data) > MaxMessage {
		err = fmt.Errorf("%w: its packets have %d", ErrTooLarge, len(data))
	}
	return data, err
}

// awaitSubscribers waits for members of less than a second whose subscription has
// not arrived: what is published before would pass them by.
func (m *Mesh) awaitSubscribers(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for {
		if m.closed {
			return ErrClosed
		}
		if err := ctx.Err(); err != nil || time.Since(m.admitted) >= settle {
			return err
		}
		var until time.Time
		for _, mb := range m.members {
			direct := m.host.Network().Connectedness(mb.id) == network.Connected
			if end := mb.since.Add(settle); direct && !mb.subscribed && end.After(until) {
				until = end
			}
		}
		if !time.Now().Before(until) {
			return nil
		}
		wait, cancel := context.WithDeadline(ctx, until)
		m.awaitChange(wait)
		cancel()
	}
}

// seal signs messages, which are numbered from seq on, as one batch.
func (m *Mesh) seal(seq uint64, messages []batch.Message) ([]byte, error) {
	b := batch.Batch{Author: []byte(m.id), Boot: m.boot, Seq: seq, Messages: messages}
	body := b.AppendBody(make([]byte, 0, b.Size()))
	sig, err := m.sign(batchPurpose, body)
	if err != nil {
		return nil, err
	}
	return batch.Append(make([]byte, 0, len(body)+len(sig)+batch.EntryOverhead), body, sig), nil
}

// validate decides about a batch that came from a neighbour: what is not properly
// signed goes no further, what was handled before neither, and what is new goes to
// the inbox and to the other neighbours.
func (m *Mesh) validate(_ context.Context, from peer.ID, msg *pubsub.Message) pubsub.ValidationResult {
	if from == m.ID() {
		return pubsub.ValidationAccept
	}
	if mb := m.member(from); mb != nil {
		mb.hear()
	}
	fresh, err := false, ErrTooLarge // to be gossiped
	if repair.Gossiped(len(msg.GetData())) {
		fresh, err = m.acceptBatch(from, msg.GetData(), 0)
	}
	if err != nil {
		m.badBatch(from, err)
		return pubsub.ValidationReject
	}
	if !fresh {
		return pubsub.ValidationIgnore
	}
	m.count(from, peerlimit.UselessBytes, -len(msg.GetData()))
	m.push(msg.GetData(), 0, from)
	return pubsub.ValidationAccept
}

// acceptBatch checks a batch of the given age that came from a neighbour, notes it in
// the history and puts those of its messages in the inbox that are new. Without any
// it is not fresh.
//
// Of what comes straight from its author the connection proves the author, as it does
// for a whisper: it is handled first, and the signature checked before it is kept or
// passed on. docs/design.md has what that saves.
func (m *Mesh) acceptBatch(from peer.ID, data []byte, age time.Duration) (fresh bool, err error) {
	b, err := batch.Scan(data)
	if err != nil {
		return false, fmt.Errorf("%w: %w", errForeign, err)
	}
	author, err := peer.IDFromBytes(b.Author)
	if err != nil {
		return false, fmt.Errorf("%w: %w", errForeign, err)
	}
	if author == m.ID() { // it came back
		return false, nil
	}
	if m.knows(author, b) {
		return false, nil // gossip and repair brought it, and it was checked then
	}
	straight := from == author
	if !straight && !m.verify(author, b) {
		return false, errForeign
	}
	messages, err := messagesOf(&b, author)
	if err != nil {
		return false, err
	}
	rec := repair.Record{Run: repair.Run{Author: string(author), Boot: b.Boot}, First: b.Seq, Count: len(messages), Data: data}
	m.historyMu.Lock()
	a := m.history.Receive(time.Now(), rec, age)
	m.historyMu.Unlock()
	if len(a.Fresh) == 0 {
		return false, nil
	}
	if m.count(author, peerlimit.Authored, len(a.Fresh)) || m.count(author, peerlimit.AuthoredBytes, len(data)) {
		for _, i := range a.Fresh {
			m.reportDropped(messages[i])
		}
		return false, nil // it goes no further from here
	}
	for _, i := range a.Fresh {
		if messages[i].Origin != "" && !m.firstRelay(messages[i]) {
			continue // another member has relayed it
		}
		for _, lost := range m.inbox.tryEnqueue(messages[i]) {
			m.reportDropped(lost)
		}
	}
	if straight {
		runtime.Gosched() // to the handler
		if !m.verify(author, b) {
			return false, errForeign
		}
	}
	m.historyMu.Lock()
	m.history.Keep(time.Now(), a)
	m.historyMu.Unlock()
	m.wakeRepair(len(data))
	return true, nil
}

// reportDropped reports a broadcast that does not get to the handlers.
func (m *Mesh) reportDropped(msg Message) {
	m.stats.droppedBroadcasts.Add(1)
	m.events.Publish(Event{
		Kind: EventGap, Peer: msg.From, Time: time.Now(),
		Gap: Gap{Author: msg.From, Boot: msg.boot, First: msg.seq, Last: msg.seq},
	})
}

// knows tells whether all messages of a batch were handled before.
func (m *Mesh) knows(author peer.ID, b batch.Batch) bool {
	last := b.Seq + uint64(len(b.Messages)) - 1
	if b.Seq == 0 || last < b.Seq {
		return false
	}
	m.historyMu.Lock()
	defer m.historyMu.Unlock()
	return m.history.Has(repair.Run{Author: string(author), Boot: b.Boot}, repair.Interval{First: b.Seq, Last: last})
}

// verify checks the signature of a batch.
func (m *Mesh) verify(author peer.ID, b batch.Batch) bool {
	return m.verifySigned(author, batchPurpose, b.Body, b.Sig)
}

// messagesOf decodes the messages of a batch whose signature holds.
func messagesOf(b *batch.Batch, author peer.ID) ([]Message, error) {
	if b.Seq == 0 || b.Seq+uint64(len(b.Messages)) < b.Seq {
		return nil, fmt.Errorf("broadcast with the number %d, and %d more", b.Seq, len(b.Messages))
	}
	messages := make([]Message, len(b.Messages))
	for i, bm := range b.Messages {
		c, packets, err := decodePackets(bm.Packets)
		if err != nil {
			return nil, err
		}
		id := messageID(Broadcast, author, b.Boot, b.Seq+uint64(i))
		if c.Origin != "" {
			id = relayedID(c)
		}
		messages[i] = Message{
			ID: id, Kind: Broadcast, From: author,
			Time: time.UnixMilli(bm.Time), Packets: packets, Origin: c.Origin, OriginID: c.ID,
			size: len(bm.Packets), boot: b.Boot, seq: b.Seq + uint64(i),
		}
	}
	return messages, nil
}
