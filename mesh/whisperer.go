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
	"github.com/p2p-today/go2p/mesh/internal/repair"
)

const (
	maxAttempts = 4                      // ways and streams that a whisper tries
	firstRetry  = 100 * time.Millisecond // pause after the first, then longer
)

// A whisperer sends whispers and takes those of members. It owns the streams to receivers,
// the asks that wait for a reply, and which whispers were handled. Its mutex guards them,
// and is held for no call.
type whisperer struct {
	*local
	members *membership
	bans    *bans
	inbox   *inbox
	reach   func(context.Context, peer.ID) error // makes a peer a member

	mu       sync.Mutex
	seq      uint64 // of the last whisper
	outgoing map[peer.ID]*whisperStream
	asks     map[string]pendingAsk // by the ID of the whisper
	incoming map[*member]int       // streams from each member
	seen     *repair.Seen
}

// An pendingAsk waits for the reply to a whisper.
type pendingAsk struct {
	to    peer.ID
	reply chan Message
}

func newWhisperer(members *membership, bans *bans, inbox *inbox, reach func(context.Context, peer.ID) error) *whisperer {
	return &whisperer{
		local: members.local, members: members, bans: bans, inbox: inbox, reach: reach,
		outgoing: map[peer.ID]*whisperStream{}, asks: map[string]pendingAsk{}, incoming: map[*member]int{},
		seen: repair.NewSeen(),
	}
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
	ws, err := w.stream(ctx, to)
	if err != nil {
		return err
	}
	acked, err := ws.send(ctx, seq, body)
	if err != nil {
		return err
	}
	select {
	case err := <-acked:
		return err
	case <-ctx.Done():
		ws.forget(seq)
		return ctx.Err()
	}
}

// stream returns the open stream to a member, opening it if need be.
func (w *whisperer) stream(ctx context.Context, to peer.ID) (*whisperStream, error) {
	w.mu.Lock()
	ws := w.outgoing[to]
	if ws == nil {
		ws = newWhisperStream()
		w.outgoing[to] = ws
	}
	w.mu.Unlock()
	opened, err := ws.open(func() (network.Stream, error) {
		s, err := w.members.newStream(ctx, to, WhisperProtocol)
		if err == nil && !w.group.Begin() {
			s.Reset()
			err = ErrClosed
		}
		return s, err
	})
	if err != nil {
		w.drop(to, ws, err)
		return nil, err
	}
	if opened {
		go func() {
			defer w.group.End()
			w.drop(to, ws, ws.readAcks(func() { w.members.hear(to) }))
		}()
	}
	return ws, nil
}

// drop ends a stream; the next whisper opens another.
func (w *whisperer) drop(to peer.ID, ws *whisperStream, err error) {
	w.mu.Lock()
	if w.outgoing[to] == ws {
		delete(w.outgoing, to)
	}
	w.mu.Unlock()
	ws.fail(err)
}

// handle takes the whispers of one member, which may have a few streams at
// a time.
func (w *whisperer) handle(s network.Stream) {
	from := s.Conn().RemotePeer()
	mb := w.members.get(from)
	if mb == nil || !w.begin(mb) {
		w.bans.refuse(s)
		return
	}
	defer w.end(mb)
	err := w.read(s, mb)
	w.log.Debug("whispers ended", "peer", from, "err", err)
	s.Reset()
}

// begin counts one more stream from a member, unless it has too many.
func (w *whisperer) begin(mb *member) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.incoming[mb] == maxInbound {
		return false
	}
	w.incoming[mb]++
	return true
}

func (w *whisperer) end(mb *member) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.incoming[mb]--; w.incoming[mb] == 0 {
		delete(w.incoming, mb)
	}
}

func (w *whisperer) read(s network.Stream, mb *member) error {
	r := frame.NewReader(s, maxWhisper)
	for {
		s.SetReadDeadline(time.Now().Add(2 * idleStream))
		body, err := r.Next()
		if errors.Is(err, frame.ErrTooLarge) {
			w.bans.badFrame(mb.id, fmt.Errorf("whisper: %w", err))
		}
		if err != nil {
			return err
		}
		mb.hear()
		var msg whisper
		if err := whisperDecoder.Unmarshal(body, &msg); err != nil {
			w.bans.badFrame(mb.id, fmt.Errorf("whisper: %w", err))
			return err
		}
		ack := whisperAck{Seq: msg.Seq}
		if err := w.receive(mb.id, &msg); err != nil {
			if w.ctx().Err() != nil {
				return err
			}
			w.stats.note(mb.id, fmt.Errorf("whisper: %w", err))
			ack.Refused = true
		}
		body, err = dcbor.Marshal(ack)
		if err != nil {
			return err
		}
		s.SetWriteDeadline(time.Now().Add(writeTimeout))
		if err := frame.Write(s, body); err != nil {
			return err
		}
	}
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
