package mesh

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/internal/dcbor"
	"github.com/p2p-today/go2p/internal/frame"
	"github.com/p2p-today/go2p/internal/lifecycle"
	"github.com/p2p-today/go2p/internal/streamrpc"
	"github.com/p2p-today/go2p/mesh/internal/repair"
)

const (
	maxAttempts = 4                      // ways and streams that a whisper tries
	firstRetry  = 100 * time.Millisecond // pause after the first, then longer
)

// A whisperer sends whispers and takes those of members. It owns the asks that wait for a
// reply, and which whispers were handled. Its mutex guards them, and is held for no call;
// the streams lock for themselves.
type whisperer struct {
	*local
	members *membership
	bans    *bans
	inbox   *inbox
	reach   func(context.Context, peer.ID) error // makes a peer a member

	outgoing *streamrpc.Clients[peer.ID, whisperAck]
	incoming *streamrpc.Limiter[*member]

	mu   sync.Mutex
	seq  uint64                // of the last whisper
	asks map[string]pendingAsk // by the ID of the whisper
	seen *repair.Seen
}

// outgoingLimits are those of a stream to a receiver. What is written in part when the
// context of a whisper ends leaves no way to go on.
var outgoingLimits = streamrpc.Limits{MaxFrame: maxAck, MaxUnsent: maxWhisper, Idle: idleStream}

// incomingLimits are those of a stream of a member.
var incomingLimits = streamrpc.Limits{MaxFrame: maxWhisper, WriteTime: writeTimeout, Idle: 2 * idleStream}

// An pendingAsk waits for the reply to a whisper.
type pendingAsk struct {
	to    peer.ID
	reply chan Message
}

func newWhisperer(members *membership, bans *bans, inbox *inbox, reach func(context.Context, peer.ID) error) *whisperer {
	w := &whisperer{
		local: members.local, members: members, bans: bans, inbox: inbox, reach: reach,
		asks: map[string]pendingAsk{}, seen: repair.NewSeen(),
		incoming: streamrpc.NewLimiter[*member](maxInbound),
	}
	w.outgoing = streamrpc.NewClients(streamrpc.Env[peer.ID, whisperAck]{
		Group: w.group, Open: w.open, OpenTime: dialTimeout, Parse: w.parseAck,
	}, outgoingLimits)
	return w
}

// open opens the stream to a receiver.
func (w *whisperer) open(ctx context.Context, to peer.ID) (streamrpc.Stream, error) {
	return w.members.newStream(ctx, to, WhisperProtocol)
}

// parseAck reads an acknowledgement.
func (w *whisperer) parseAck(from peer.ID, body []byte) (seq uint64, ack whisperAck, err error) {
	w.members.hear(from)
	err = whisperDecoder.Unmarshal(body, &ack)
	return ack.Seq, ack, err
}

// whisper sends packets to a peer. They answer a message, whose ID is given, or none.
func (w *whisperer) whisper(ctx context.Context, to peer.ID, answers string, packets []any) error {
	data, err := encodePackets(packets)
	if err == nil {
		_, err = w.send(ctx, to, w.newWhisper(data, answers), nil)
	}
	return err
}

// relay sends packets from another network to a peer, which may be this one.
func (w *whisperer) relay(ctx context.Context, to peer.ID, from Relayed, packets []any) error {
	data, err := from.encode(packets)
	if err != nil {
		return err
	}
	relayed := whisper{Time: from.Time.UnixMilli(), Packets: data}
	if to != w.id {
		_, err = w.send(ctx, to, relayed, nil)
		return err
	}
	w.number(&relayed, "", nil)
	msg, err := relayed.message(to)
	if err != nil {
		return err
	}
	return w.inbox.enqueue(ctx, msg)
}

// ask sends packets and waits for the reply.
func (w *whisperer) ask(ctx context.Context, to peer.ID, packets []any) (Message, error) {
	data, err := encodePackets(packets)
	if err != nil {
		return Message{}, err
	}
	reply := make(chan Message, 1)
	id, err := w.send(ctx, to, w.newWhisper(data, ""), reply)
	defer w.endAsk(id)
	if err != nil {
		return Message{}, err
	}
	select {
	case msg := <-reply:
		return msg, nil
	case <-ctx.Done():
		return Message{}, fmt.Errorf("no reply: %w", ctx.Err())
	case <-w.ctx().Done():
		return Message{}, ErrClosed
	}
}

func (w *whisperer) endAsk(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.asks, id)
}

// newWhisper returns a whisper of this peer, now.
func (w *whisperer) newWhisper(packets []byte, answers string) whisper {
	return whisper{To: answers, Time: w.clock().UnixMilli(), Packets: packets}
}

// send sends one whisper and returns its ID. Where reply is given, the reply to
// it goes there.
func (w *whisperer) send(ctx context.Context, to peer.ID, msg whisper, reply chan Message) (string, error) {
	if to == w.id {
		return "", errors.New("that is this peer itself")
	}
	id := w.number(&msg, to, reply)
	body, err := dcbor.Marshal(msg)
	if err != nil {
		return id, err
	}
	if err := w.deliver(ctx, to, msg.Seq, body); err != nil {
		return id, err
	}
	w.stats.sentWhispers.Add(1)
	return id, nil
}

// number gives a whisper the next number and returns its ID.
func (w *whisperer) number(msg *whisper, to peer.ID, reply chan Message) (id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seq++
	msg.Boot, msg.Seq = w.boot, w.seq
	id = messageID(Whisper, w.id, msg.Boot, msg.Seq)
	if reply != nil {
		w.asks[id] = pendingAsk{to: to, reply: reply}
	}
	return id
}

// deliver writes a whisper until it is acknowledged. The receiver knows one that
// comes twice by its number.
func (w *whisperer) deliver(ctx context.Context, to peer.ID, seq uint64, body []byte) error {
	for attempt := 1; ; attempt++ {
		if err := w.reach(ctx, to); err != nil {
			return err
		}
		err := w.attempt(ctx, to, seq, body)
		switch {
		case err == nil || errors.Is(err, errRefused):
			return err
		case w.ctx().Err() != nil:
			return ErrClosed
		case ctx.Err() != nil:
			return fmt.Errorf("not acknowledged: %w", ctx.Err())
		case attempt == maxAttempts:
			return fmt.Errorf("%w: %w", ErrUnreachable, err)
		}
		lifecycle.Sleep(ctx, time.Duration(attempt)*firstRetry)
	}
}

func (w *whisperer) attempt(ctx context.Context, to peer.ID, seq uint64, body []byte) error {
	stream, err := w.outgoing.To(ctx, to)
	if err != nil {
		return err
	}
	ack, err := stream.Ask(ctx, seq, body)
	if err == nil && ack.Refused {
		err = errRefused
	}
	return err
}

// handle takes the whispers of one member, which may have a few streams at
// a time.
func (w *whisperer) handle(s network.Stream) {
	mb := w.members.get(s.Conn().RemotePeer())
	if mb == nil || !w.incoming.Enter(mb) {
		w.bans.refuse(s)
		return
	}
	defer w.incoming.Leave(mb)
	err := streamrpc.Serve(w.ctx(), s, incomingLimits, 1, func(body []byte) ([]byte, func(context.Context) []byte, error) {
		ack, err := w.answer(mb, body)
		return ack, nil, err
	})
	if errors.Is(err, frame.ErrTooLarge) {
		w.bans.badFrame(mb.id, fmt.Errorf("whisper: %w", err))
	}
	w.log.Debug("whispers ended", "peer", mb.id, "err", err)
}

// answer takes one whisper and returns its acknowledgement.
func (w *whisperer) answer(mb *member, body []byte) ([]byte, error) {
	mb.hear()
	var msg whisper
	if err := whisperDecoder.Unmarshal(body, &msg); err != nil {
		w.bans.badFrame(mb.id, fmt.Errorf("whisper: %w", err))
		return nil, err
	}
	ack := whisperAck{Seq: msg.Seq}
	if err := w.receive(mb.id, &msg); err != nil {
		if w.ctx().Err() != nil {
			return nil, err
		}
		w.stats.note(mb.id, fmt.Errorf("whisper: %w", err))
		ack.Refused = true
	}
	return dcbor.Marshal(ack)
}

// receive puts a whisper in the inbox, unless it was received before, or is the reply to an
// ask. It returns when that is done.
func (w *whisperer) receive(from peer.ID, received *whisper) error {
	msg, err := received.message(from)
	if err != nil {
		return err
	}
	if !w.isNew(from, received) || w.answered(msg) {
		return nil
	}
	return w.inbox.enqueue(w.ctx(), msg)
}

// isNew reports whether a whisper was not received before.
func (w *whisperer) isNew(from peer.ID, received *whisper) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	isNew, _ := w.seen.Add(time.Now(), string(from), received.Boot, received.Seq)
	return isNew
}

// answered hands a reply to the ask that waits for it, if one does.
func (w *whisperer) answered(msg Message) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	a, ok := w.asks[msg.To]
	if !ok || a.to != msg.From {
		return false
	}
	delete(w.asks, msg.To)
	a.reply <- msg
	return true
}
