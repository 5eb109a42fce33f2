package bridge

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/compat"
	"github.com/p2p-today/go2p/compat/bridge/internal/policy"
	"github.com/p2p-today/go2p/compat/internal/legacy"
	"github.com/p2p-today/go2p/mesh"
)

const (
	maxMessages = 1024        // that wait on either way
	maxWhispers = 256         // that wait on either way
	deferTime   = time.Second // that other bridges wait for the elected one to send a message
)

// A nativeMesh relays into the native network.
type nativeMesh interface {
	Relay(ctx context.Context, from mesh.Relayed, packets ...any) (mesh.Receipt, error)
	RelayTo(ctx context.Context, to peer.ID, from mesh.Relayed, packets ...any) error
}

// An oldMesh speaks in an old network under the IDs of others.
type oldMesh interface {
	AwaitRoom(ctx context.Context) error
	Broadcast(sender string, at int64, tag string, args []any) (news bool, err error)
	Whisper(sender, to string, args []any) error
}

// messages is the portal of messages between an old network and the native one. Four loops run it, one for broadcasts
// and one for whispers each way; the channels between them and their producers are all its state.
type messages struct {
	network    network
	native     nativeMesh
	leadership *leadership
	counters   *counters
	whisperTo  func(from, to string, packets []any) error // an old node of any network
	log        *slog.Logger

	in          chan compat.Message // broadcasts of old nodes
	out         chan outgoing       // broadcasts for them
	whispersIn  chan reply
	whispersOut chan whisper
}

// An outgoing is a native broadcast that goes to an old network.
type outgoing struct {
	msg mesh.Message
	at  time.Time // when it came
}

// A whisper goes to an old node of the network.
type whisper struct {
	from, to string // author, ID
	packets  []any
}

// A reply is a whisper of an old node to an author.
type reply struct {
	author string
	msg    compat.Message
}

func newMessages(
	n network, native nativeMesh, lead *leadership, c *counters,
	whisperTo func(from, to string, packets []any) error, log *slog.Logger,
) *messages {
	return &messages{
		network: n, native: native, leadership: lead, counters: c, whisperTo: whisperTo, log: log,
		in: make(chan compat.Message, maxMessages), out: make(chan outgoing, maxMessages),
		whispersIn: make(chan reply, maxWhispers), whispersOut: make(chan whisper, maxWhispers),
	}
}

// receive takes a message of an old node. It does not block. Messages of ghosts came over a bridge, and go back over
// none.
func (m *messages) receive(msg compat.Message) {
	switch {
	case legacy.IsGhost(msg.From):
	case msg.Kind == compat.KindWhisper:
		m.counters.drop(DropReceiver) // to the bridge's own node
	case !trySend(m.in, msg):
		m.counters.drop(compat.DropFull)
	}
}

// relayIn relays broadcasts of old nodes to the native network.
func (m *messages) relayIn(ctx context.Context) {
	for msg, ok := next(ctx, m.in); ok; msg, ok = next(ctx, m.in) {
		_, err := m.native.Relay(ctx, m.relayed(msg), msg.Packets...)
		m.counters.crossedIn(ctx, err)
	}
}

// relayed returns the origin of a message, as natives see it.
func (m *messages) relayed(msg compat.Message) mesh.Relayed {
	return mesh.Relayed{Origin: m.network.origin(msg.From), ID: m.network.id + "/" + msg.ID, Time: msg.Time}
}

// observe takes a native broadcast, unless it is from this old network. It does not block.
func (m *messages) observe(msg mesh.Message) {
	if msg.Origin != "" && strings.HasPrefix(msg.OriginID, m.network.id+"/") {
		return
	}
	if !trySend(m.out, outgoing{msg, time.Now()}) {
		m.counters.drop(compat.DropFull)
	}
}

// relayOut relays native broadcasts to the old network. All bridges send equal messages, and old nodes drop the second
// of them. A bridge that is not elected waits, and sends a message only if it has not heard it by then.
func (m *messages) relayOut(ctx context.Context, peers func() []compat.Peer, old oldMesh, ghosts *ghosts) {
	for o, ok := next(ctx, m.out); ok; o, ok = next(ctx, m.out) {
		if m.leadership.elected() {
			ghosts.ensure(ctx, author(o.msg), m.receiveReply)
		} else if !sleep(ctx, time.Until(o.at.Add(deferTime))) {
			return
		}
		if len(peers()) == 0 {
			m.counters.drop(DropReceiver)
			continue
		}
		m.send(ctx, old, o.msg)
	}
}

// send sends a native broadcast under the ghost of its author.
func (m *messages) send(ctx context.Context, old oldMesh, msg mesh.Message) {
	args, err := m.network.encode(msg.Packets...)
	if err != nil {
		m.counters.drop(DropValue)
		return
	}
	at := msg.Time.Unix()
	if t := policy.Fresh(time.Now(), at); t != at {
		if !m.leadership.elected() { // each bridge would give it another time
			return
		}
		at = t
	}
	if old.AwaitRoom(ctx) != nil {
		return
	}
	news, err := old.Broadcast(m.network.ghost(author(msg)), at, legacy.Tag(msg.ID), args)
	switch {
	case errors.Is(err, compat.ErrClosed):
	case err != nil:
		m.counters.drop(compat.DropEncoding)
	case news:
		m.counters.out.Add(1)
	}
}

// whisper takes a whisper to an old node. It does not block. Errors: compat.ErrValue, compat.ErrFull.
func (m *messages) whisper(from, to string, packets []any) error {
	if _, err := m.network.encode(packets...); err != nil {
		m.counters.drop(DropValue)
		return err
	}
	if !trySend(m.whispersOut, whisper{from, to, packets}) {
		m.counters.drop(compat.DropFull)
		return compat.ErrFull
	}
	return nil
}

// whisperOut whispers to old nodes under the ghosts of authors.
func (m *messages) whisperOut(ctx context.Context, old oldMesh, ghosts *ghosts) {
	for w, ok := next(ctx, m.whispersOut); ok; w, ok = next(ctx, m.whispersOut) {
		args, err := m.network.encode(w.packets...)
		if err == nil {
			err = old.AwaitRoom(ctx)
		}
		if m.leadership.elected() {
			ghosts.ensure(ctx, w.from, m.receiveReply)
		}
		if err == nil {
			err = old.Whisper(m.network.ghost(w.from), w.to, args)
		}
		if err != nil && ctx.Err() == nil {
			m.log.Info("cannot deliver", "to", w.to, "from", w.from, "err", err)
			m.counters.drop(DropReceiver)
		} else {
			m.counters.out.Add(1)
		}
	}
}

// receiveReply takes a message that the ghost of an author has heard. It does not block.
func (m *messages) receiveReply(author string, msg compat.Message) {
	if msg.Kind == compat.KindWhisper && !legacy.IsGhost(msg.From) && !trySend(m.whispersIn, reply{author, msg}) {
		m.counters.drop(compat.DropFull)
	}
}

// whisperIn relays whispers of old nodes to the authors whose ghosts have heard them.
func (m *messages) whisperIn(ctx context.Context) {
	for r, ok := next(ctx, m.whispersIn); ok; r, ok = next(ctx, m.whispersIn) {
		m.counters.crossedIn(ctx, m.deliver(ctx, r))
	}
}

// deliver delivers a whisper to a native author, or to an old node of another network.
func (m *messages) deliver(ctx context.Context, r reply) error {
	if _, _, ok := legacy.SplitOrigin(r.author); ok {
		return m.whisperTo(m.network.origin(r.msg.From), r.author, r.msg.Packets)
	}
	to, err := peer.Decode(r.author)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, nativeTime)
	defer cancel()
	return m.native.RelayTo(ctx, to, m.relayed(r.msg), r.msg.Packets...)
}

// author returns the name of the sender of a native message: the old node's, if a bridge relays it.
func author(msg mesh.Message) string {
	if msg.Origin != "" {
		return msg.Origin
	}
	return msg.From.String()
}
