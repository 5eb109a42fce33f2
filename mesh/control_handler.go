package mesh

import (
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/internal/frame"
	"github.com/p2p-today/go2p/mesh/internal/peerlimit"
)

// A controlHandler reads what members send on their control streams, and hands each message to
// the component that it is for. It has no state.
type controlHandler struct {
	*local
	members     *membership
	bans        *bans
	lists       *peerLists
	broadcaster *broadcaster
}

// handle reads what a member sends. A new stream takes the place of its former one.
func (c *controlHandler) handle(s network.Stream) {
	mb := c.members.get(s.Conn().RemotePeer())
	if mb == nil {
		s.Reset()
		return
	}
	if former := mb.control.Swap(&s); former != nil {
		c.bans.refuse(*former)
	}
	bytes := &controlReader{Stream: s, repairer: c.broadcaster.repairer, member: mb}
	r := frame.NewReader(bytes, maxControl)
	for {
		bytes.said = time.Time{}
		body, err := r.Next()
		if errors.Is(err, frame.ErrTooLarge) {
			c.bans.badFrame(mb.id, fmt.Errorf("link: %w", err))
		}
		if err != nil || c.bans.count(mb.id, peerlimit.ControlFrame, 1) {
			break
		}
		msg, err := decodeControl(body)
		if err != nil {
			c.bans.badFrame(mb.id, fmt.Errorf("link: %w", err))
			break
		}
		c.receive(mb, msg)
	}
	s.Reset()
}

func (c *controlHandler) receive(mb *member, msg controlMessage) {
	b := c.broadcaster
	switch msg.Kind {
	case controlPing:
		mb.send(controlMessage{Kind: controlPong, Nonce: msg.Nonce})
	case controlPong:
		if sent := time.Duration(msg.Nonce); sent > 0 && sent < time.Since(c.epoch) {
			mb.rtt.Store(int64(time.Since(c.epoch) - sent))
		}
	case controlWantPeers:
		c.lists.handleWant(mb, msg.Nonce, peer.ID(msg.Target))
	case controlPeers:
		c.lists.handlePeers(mb, msg.Nonce, msg.Peers)
	case controlHave:
		b.repairer.handleHave(mb, msg.Haves)
	case controlFetch:
		b.repairer.handleFetch(mb, msg.Range)
	case controlBatches:
		b.handleBatches(mb, msg.Range, msg.Batches)
	case controlPush:
		b.handlePush(mb, msg.Batches)
	case controlAckQuery:
		b.repairer.handleAckQuery(mb, msg.Nonce, msg.Range)
	case controlAck:
		b.acks.handleAck(mb.id, msg.Nonce)
	}
}

// A controlReader reads a control stream and notes that something arrives. In the middle of
// a long message it says so to the member, which might otherwise take this peer for
// dead.
type controlReader struct {
	network.Stream
	repairer *repairer
	member   *member
	said     time.Time
}

func (r *controlReader) Read(p []byte) (int, error) {
	n, err := r.Stream.Read(p)
	if n > 0 {
		r.member.hear()
		now := time.Now()
		r.repairer.progress(now, r.member.id)
		if now.Sub(r.said) > time.Second {
			if !r.said.IsZero() {
				r.member.send(controlMessage{Kind: controlPong})
			}
			r.said = now
		}
	}
	return n, err
}
