package legacy

import (
	"crypto/sha512"
	"fmt"
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

// Whisper sends packets to one node. Errors: ErrNoPeers, ErrFull, ErrTooLarge.
func (n *Node) Whisper(now time.Time, to string, packets []any) (Effects, error) {
	err := n.whisper(now, to, wire.New(n.net.Version, wire.Whisper, wire.Whisper, packets...))
	return n.take(), err
}

// whisper sends a message to one node. If the node is not connected, the message is parked, other nodes are asked
// where it is, and it is dialled.
func (n *Node) whisper(now time.Time, to string, m *wire.Message) error {
	if s := n.members[to]; s != nil {
		n.sendSigned(now, s, m)
		return nil
	}
	if len(n.members) == 0 {
		return ErrNoPeers
	}
	if n.postbox.full() {
		return fmt.Errorf("%w: %d messages wait for the way", ErrFull, maxParked)
	}
	id, err := n.ask(now, to)
	if err != nil {
		return err
	}
	n.postbox.add(parked{question: id, to: to, m: m, since: now})
	return nil
}

// ask asks all nodes where a node is, once a second. py 3 knows nodes of js by text, and nodes of py by bytes. The
// question contains this node's ID: in 0.4 and 0.5 equal questions of two nodes would be one message.
func (n *Node) ask(now time.Time, wanted string) (id string, err error) {
	h := sha512.Sum384([]byte(n.id + wanted + wire.TimeText(now.Unix())))
	id = wire.Base58(h[:])
	if n.postbox.awaits(id, wanted) {
		return id, nil
	}
	_, err = n.broadcast(now, wire.Request, n.text(id), []byte(wanted))
	if err == nil && n.net.Version.Typed() {
		_, err = n.broadcast(now, wire.Request, id, wanted)
	}
	return id, err
}

// answerWhere answers where a node is, if it is connected. The answer is a broadcast, since no node knows which way
// the question came. A js node does not survive the answer.
func (n *Node) answerWhere(now time.Time, s *Session, m *wire.Message) {
	id, _ := wire.Text(m.Args()[0])
	wanted, _ := wire.Text(m.Args()[1])
	target := n.members[wanted]
	if target == nil || target.peer.Addr.Host == "" || s.peer.Language == wire.JavaScript && n.net.Version.Typed() {
		return
	}
	n.send(now, s, wire.Broadcast, wire.Response, n.text(id), n.net.Version.ListedArg(target.listed()))
}

// dialFound dials a node that another node has located, if a message waits for it.
func (n *Node) dialFound(m *wire.Message) {
	id, _ := wire.Text(m.Args()[0])
	p, err := n.net.Version.ParseListed(m.Args()[1])
	if err == nil && n.postbox.awaits(id, p.ID) {
		n.out.Dials = append(n.out.Dials, p)
	}
}
