package mesh

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/internal/dcbor"
	"github.com/p2p-today/go2p/internal/value"
	"github.com/p2p-today/go2p/mesh/internal/batch"
)

// MaxOrigin is how many bytes the origin and the ID of a relayed message may have, each.
const MaxOrigin = 256

const (
	relayedTTL = 5 * time.Minute // how long a relayed message is recognized
	maxRelayed = 1 << 16
)

// A Relayed says where a message is from that a member carries over from another network.
// Nothing of it is proven.
type Relayed struct {
	Origin string    // who has sent it there; with a colon in it, so that it is no peer ID
	ID     string    // of the message there, and of that network: several members may relay it
	Time   time.Time // when it was sent there
}

// Relay broadcasts a message from another network. If another member has relayed it in
// the last five minutes nothing happens; otherwise it is handled here, too. Errors:
// those of Broadcast, ErrOrigin.
func (m *Mesh) Relay(ctx context.Context, c Relayed, packets ...any) (Receipt, error) {
	data, err := c.encode(packets)
	if err != nil {
		return Receipt{}, fmt.Errorf("mesh: relay: %w", err)
	}
	msg := Message{
		ID: relayedID(c), Kind: Broadcast, From: m.id, Time: c.Time,
		Origin: c.Origin, OriginID: c.ID, size: len(data),
	}
	if _, msg.Packets, err = decodePackets(data); err != nil {
		return Receipt{}, fmt.Errorf("mesh: relay: %w", err)
	}
	if !m.firstRelay(msg) {
		return Receipt{ID: msg.ID}, nil
	}
	r, err := m.broadcast(ctx, batch.Message{Time: c.Time.UnixMilli(), Packets: data})
	if err != nil {
		return Receipt{}, fmt.Errorf("mesh: relay: %w", err)
	}
	r.ID = msg.ID
	for _, lost := range m.inbox.tryEnqueue(msg) {
		m.reportDropped(lost)
	}
	return r, nil
}

// RelayTo whispers a message from another network, to this peer, too. Errors: those of
// Whisper, ErrOrigin.
func (m *Mesh) RelayTo(ctx context.Context, to peer.ID, c Relayed, packets ...any) error {
	data, err := c.encode(packets)
	w := whisper{Time: c.Time.UnixMilli(), Packets: data}
	switch {
	case err != nil:
	case to == m.id:
		m.mu.Lock()
		m.whisperSeq++
		w.Boot, w.Seq = m.boot, m.whisperSeq
		m.mu.Unlock()
		var msg Message
		if msg, err = w.message(to); err == nil {
			err = m.inbox.enqueue(ctx, msg)
		}
	default:
		_, err = m.whisper(ctx, to, w, nil)
	}
	if err != nil {
		return fmt.Errorf("mesh: relay to %s: %w", to, err)
	}
	return nil
}

// firstRelay reports whether a message was not relayed before.
func (m *Mesh) firstRelay(msg Message) bool {
	m.historyMu.Lock()
	defer m.historyMu.Unlock()
	return m.relayed.Add(time.Now(), msg.ID)
}

func (m *Mesh) observe(f func(Message)) (end func()) {
	h := &Handler{m, func(_ context.Context, msg Message) bool {
		f(msg)
		return false
	}}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.observers = with(m.observers, h)
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.observers = without(m.observers, h)
	}
}

// observing are those who observe.
func (m *Mesh) observing() []*Handler {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.observers
}

// showOwn shows a broadcast of this peer to those who observe.
func (m *Mesh) showOwn(bm batch.Message, r Receipt) {
	observers := m.observing()
	if len(observers) == 0 {
		return
	}
	packets, err := value.Unmarshal(bm.Packets)
	if err != nil {
		return // of what was encoded here
	}
	msg := Message{ID: r.ID, Kind: Broadcast, From: m.id, Time: time.UnixMilli(bm.Time), Packets: packets, boot: m.boot, seq: r.seq}
	for _, h := range observers {
		h.handle(m.ctx, msg)
	}
}

// encode returns the bytes of relayed packets: those of the origin and the ID before
// those of the packets. That the first is no array tells them from others.
func (c Relayed) encode(packets []any) ([]byte, error) {
	data, err := encodePackets(packets)
	if err != nil {
		return nil, err
	}
	if !c.valid() {
		return nil, fmt.Errorf("%w: %q, %q, of at most %d bytes each", ErrOrigin, c.Origin, c.ID, MaxOrigin)
	}
	head := dcbor.AppendBytes(dcbor.AppendBytes(nil, c.Origin), c.ID)
	if len(head)+len(data) > MaxMessage {
		return nil, fmt.Errorf("%w: its packets have %d", ErrTooLarge, len(data))
	}
	return append(head, data...), nil
}

// ErrOrigin says that an origin is too long, or could be taken for a peer.
var ErrOrigin = errors.New("no origin in another network")

func (c *Relayed) valid() bool {
	return strings.Contains(c.Origin, ":") && max(len(c.Origin), len(c.ID)) <= MaxOrigin
}

// decodePackets reads the packets of a message, and their origin if they are
// relayed.
func decodePackets(data []byte) (c Relayed, packets []any, err error) {
	if len(data) > MaxMessage {
		return c, nil, ErrTooLarge
	}
	if len(data) > 0 && data[0]>>5 == 2 { // a byte string
		s := dcbor.Scan(data)
		origin, id := s.Bytes(), s.Bytes()
		c, data = Relayed{Origin: string(origin), ID: string(id)}, s.Rest()
		if s.Bad() || !c.valid() {
			return c, nil, ErrOrigin
		}
	}
	packets, err = value.Unmarshal(data)
	return c, packets, err
}

// relayedID names a message the same whoever carries it.
func relayedID(c Relayed) string {
	sum := sha256.Sum256(dcbor.AppendBytes(dcbor.AppendBytes([]byte("carried\x00"), c.Origin), c.ID))
	return hex.EncodeToString(sum[:12])
}
