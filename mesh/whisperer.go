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
)

// whisper is a message to one peer. The connection proves its author.
type whisper struct {
	_       struct{} `cbor:",toarray"`
	Boot    uint64
	Seq     uint64
	To      string // the ID of the message that it answers, or the origin of one that was relayed, or empty
	Time    int64  // the author's, Unix milliseconds
	Packets []byte // a CBOR array
}

// whisperAck says that the whisper with the number Seq has arrived, or that its
// receiver cannot take it, ever.
type whisperAck struct {
	_       struct{} `cbor:",toarray"`
	Seq     uint64
	Refused bool
}

var whisperDecoder = dcbor.Decoder(16, 4)

var errRefused = errors.New("the receiver cannot read it")

const (
	maxAck      = 64                     // bytes of an acknowledgement's frame
	maxAttempts = 4                      // ways and streams that a whisper tries
	firstRetry  = 100 * time.Millisecond // pause after the first, then longer
	maxIDLength = MaxOrigin              // bytes of what a whisper answers
)

// Whisper sends a message to one peer of the network and returns nil only when
// that one has it. A peer that is not a neighbour is looked for: at its known
// addresses, among the neighbours' neighbours and by the PeerRouting option. While
// the receiver's inbox is full Whisper waits. Whispers of one peer to another
// arrive in the order in which they were sent and once, also when a connection
// breaks between. Errors: ErrUnreachable, ErrNoCommonNetwork, *TypeError,
// ErrTooLarge, ErrClosed, or the context's; after the last the message may have
// arrived or not.
func (m *Mesh) Whisper(ctx context.Context, to peer.ID, packets ...any) error {
	data, err := encodePackets(packets)
	if err == nil {
		_, err = m.whisper(ctx, to, m.whisperOf(data, ""), nil)
	}
	if err != nil {
		return fmt.Errorf("mesh: whisper to %s: %w", to, err)
	}
	return nil
}

// Reply whispers to the author of a message, naming the message that it answers, or to
// the member that has relayed it, naming who has sent it. It is Whisper otherwise.
func (m *Mesh) Reply(ctx context.Context, msg Message, packets ...any) error {
	to := msg.ID
	if msg.Origin != "" {
		to = msg.Origin
	}
	data, err := encodePackets(packets)
	if err == nil {
		_, err = m.whisper(ctx, msg.From, m.whisperOf(data, to), nil)
	}
	if err != nil {
		return fmt.Errorf("mesh: reply to %s: %w", msg.From, err)
	}
	return nil
}

// An ask waits for the reply to a whisper.
type ask struct {
	to    peer.ID
	reply chan Message
}

// Ask whispers and waits for the reply, which goes to no handler then. Without
// one it ends with the context's error, so give it a deadline.
func (m *Mesh) Ask(ctx context.Context, to peer.ID, packets ...any) (Message, error) {
	reply := make(chan Message, 1)
	var id string
	data, err := encodePackets(packets)
	if err == nil {
		id, err = m.whisper(ctx, to, m.whisperOf(data, ""), reply)
		defer m.endAsk(id)
	}
	if err == nil {
		select {
		case msg := <-reply:
			return msg, nil
		case <-ctx.Done():
			err = fmt.Errorf("no reply: %w", ctx.Err())
		case <-m.ctx.Done():
			err = ErrClosed
		}
	}
	return Message{}, fmt.Errorf("mesh: ask %s: %w", to, err)
}

func (m *Mesh) endAsk(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.asks, id)
}

// whisperOf is a whisper of this peer, now.
func (m *Mesh) whisperOf(packets []byte, answers string) whisper {
	return whisper{To: answers, Time: wallClock(m.id).UnixMilli(), Packets: packets}
}

// whisper sends one message and returns its ID. Where reply is given, the reply to
// it goes there.
func (m *Mesh) whisper(ctx context.Context, to peer.ID, w whisper, reply chan Message) (string, error) {
	if to == m.ID() {
		return "", errors.New("that is this peer itself")
	}
	m.mu.Lock()
	m.whisperSeq++
	w.Boot, w.Seq = m.boot, m.whisperSeq
	id := messageID(Whisper, m.ID(), w.Boot, w.Seq)
	if reply != nil {
		m.asks[id] = ask{to, reply}
	}
	m.mu.Unlock()
	body, err := dcbor.Marshal(w)
	if err != nil {
		return id, err
	}
	if err := m.deliver(ctx, to, w.Seq, body); err != nil {
		return id, err
	}
	m.stats.sentWhispers.Add(1)
	return id, nil
}

// deliver writes a whisper until it is acknowledged. The receiver knows one that
// comes twice by its number.
func (m *Mesh) deliver(ctx context.Context, to peer.ID, seq uint64, body []byte) error {
	for attempt := 1; ; attempt++ {
		if err := m.reach(ctx, to); err != nil {
			return err
		}
		err := m.attempt(ctx, to, seq, body)
		switch {
		case err == nil || errors.Is(err, errRefused):
			return err
		case m.ctx.Err() != nil:
			return ErrClosed
		case ctx.Err() != nil:
			return fmt.Errorf("not acknowledged: %w", ctx.Err())
		case attempt == maxAttempts:
			return fmt.Errorf("%w: %w", ErrUnreachable, err)
		}
		sleep(ctx, time.Duration(attempt)*firstRetry)
	}
}

func (m *Mesh) attempt(ctx context.Context, to peer.ID, seq uint64, body []byte) error {
	ws, err := m.whisperTo(ctx, to)
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

// A whisperStream is the open stream to one receiver. The zero value has none yet.
type whisperStream struct {
	opening sync.Mutex // held while the stream is opened or written

	mu      sync.Mutex
	s       network.Stream
	broken  error
	pending map[uint64]chan error // not acknowledged, by number
}

// whisperTo returns the open stream to a member, opening it if need be.
func (m *Mesh) whisperTo(ctx context.Context, to peer.ID) (*whisperStream, error) {
	m.mu.Lock()
	ws := m.outgoing[to]
	if ws == nil {
		ws = &whisperStream{pending: map[uint64]chan error{}}
		m.outgoing[to] = ws
	}
	m.mu.Unlock()
	ws.opening.Lock()
	defer ws.opening.Unlock()
	ws.mu.Lock()
	open, broken := ws.s != nil, ws.broken
	ws.mu.Unlock()
	if open || broken != nil {
		return ws, broken
	}
	s, err := m.newStream(ctx, to, WhisperProtocol)
	if err == nil && !m.begin() {
		s.Reset()
		err = ErrClosed
	}
	if err != nil {
		m.drop(to, ws, err)
		return nil, err
	}
	ws.mu.Lock()
	ws.s = s
	ws.mu.Unlock()
	go func() {
		defer m.wg.Done()
		err := ws.readAcks(m, to)
		m.drop(to, ws, err)
	}()
	return ws, nil
}

// drop ends a stream; the next whisper opens another.
func (m *Mesh) drop(to peer.ID, ws *whisperStream, err error) {
	m.mu.Lock()
	if m.outgoing[to] == ws {
		delete(m.outgoing, to)
	}
	m.mu.Unlock()
	ws.fail(err)
}

// send writes a frame; the channel tells what became of it.
func (ws *whisperStream) send(ctx context.Context, seq uint64, body []byte) (<-chan error, error) {
	acked := make(chan error, 1)
	ws.opening.Lock()
	defer ws.opening.Unlock()
	ws.mu.Lock()
	if ws.broken != nil {
		defer ws.mu.Unlock()
		return nil, ws.broken
	}
	ws.pending[seq] = acked
	s := ws.s
	ws.mu.Unlock()
	// A frame that was written in part leaves no way to go on.
	stop := context.AfterFunc(ctx, func() { s.Reset() })
	defer stop()
	if err := frame.Write(s, body); err != nil {
		ws.fail(err)
		return nil, err
	}
	return acked, nil
}

func (ws *whisperStream) forget(seq uint64) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	delete(ws.pending, seq)
}

// fail tells all that wait for an acknowledgement that none will come.
func (ws *whisperStream) fail(err error) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.broken != nil {
		return
	}
	ws.broken = err
	if ws.s != nil {
		ws.s.Reset()
	}
	for _, acked := range ws.pending {
		acked <- err
	}
	clear(ws.pending)
}

// readAcks reads acknowledgements until the stream ends, at the latest when
// nothing was whispered for ten minutes.
func (ws *whisperStream) readAcks(m *Mesh, from peer.ID) error {
	r := frame.NewReader(ws.s, maxAck)
	for {
		ws.s.SetReadDeadline(time.Now().Add(idleStream))
		body, err := r.Next()
		if err != nil {
			return fmt.Errorf("stream ended: %w", err)
		}
		if mb := m.member(from); mb != nil {
			mb.hear()
		}
		var ack whisperAck
		if err := whisperDecoder.Unmarshal(body, &ack); err != nil {
			return err
		}
		ws.mu.Lock()
		acked := ws.pending[ack.Seq]
		delete(ws.pending, ack.Seq)
		ws.mu.Unlock()
		switch {
		case acked == nil: // its sender gave up
		case ack.Refused:
			acked <- errRefused
		default:
			acked <- nil
		}
	}
}

// handleWhispers takes the whispers of one member, who may have a few streams at
// a time.
func (m *Mesh) handleWhispers(s network.Stream) {
	from := s.Conn().RemotePeer()
	m.mu.Lock()
	mb := m.members[from]
	if mb == nil || mb.whispering == maxInbound {
		m.mu.Unlock()
		m.refuse(s)
		return
	}
	mb.whispering++
	m.mu.Unlock()
	err := m.readWhispers(s, mb)
	m.log.Debug("whispers ended", "peer", from, "err", err)
	s.Reset()
	m.mu.Lock()
	mb.whispering--
	m.mu.Unlock()
}

func (m *Mesh) readWhispers(s network.Stream, mb *member) error {
	r := frame.NewReader(s, maxWhisper)
	for {
		s.SetReadDeadline(time.Now().Add(2 * idleStream))
		body, err := r.Next()
		if errors.Is(err, frame.ErrTooLarge) {
			m.badFrame(mb.id, fmt.Errorf("whisper: %w", err))
		}
		if err != nil {
			return err
		}
		mb.hear()
		var w whisper
		if err := whisperDecoder.Unmarshal(body, &w); err != nil {
			m.badFrame(mb.id, fmt.Errorf("whisper: %w", err))
			return err
		}
		ack := whisperAck{Seq: w.Seq}
		if err := m.handleWhisper(mb.id, &w); err != nil {
			if m.ctx.Err() != nil {
				return err
			}
			m.stats.note(mb.id, fmt.Errorf("whisper: %w", err))
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

// handleWhisper puts a whisper where it belongs. It returns when it is there.
func (m *Mesh) handleWhisper(from peer.ID, w *whisper) error {
	msg, err := w.message(from)
	if err != nil {
		return err
	}
	m.historyMu.Lock()
	isNew, _ := m.seenWhispers.Add(time.Now(), string(from), w.Boot, w.Seq)
	m.historyMu.Unlock()
	if !isNew || m.answered(msg) {
		return nil
	}
	return m.inbox.enqueue(m.ctx, msg)
}

// answered hands a reply to the Ask that waits for it, if one does.
func (m *Mesh) answered(msg Message) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	a, ok := m.asks[msg.To]
	if !ok || a.to != msg.From {
		return false
	}
	delete(m.asks, msg.To)
	a.reply <- msg
	return true
}

func (w *whisper) message(from peer.ID) (Message, error) {
	if len(w.To) > maxIDLength {
		return Message{}, fmt.Errorf("message ID of %d bytes", len(w.To))
	}
	c, packets, err := decodePackets(w.Packets)
	if err != nil {
		return Message{}, err
	}
	msg := Message{
		ID: messageID(Whisper, from, w.Boot, w.Seq), Kind: Whisper, From: from, To: w.To,
		Time: time.UnixMilli(w.Time), Packets: packets, Origin: c.Origin, OriginID: c.ID, size: len(w.Packets),
	}
	if w.To != "" {
		msg.Kind = Reply
	}
	return msg, nil
}
