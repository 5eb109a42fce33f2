package legacy

import (
	"crypto/sha512"
	"fmt"
	"slices"
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

const (
	maxParked   = 256 // messages that wait for the way to a node
	requestTime = 30 * time.Second
	quietTime   = 2 * time.Second // see visit
)

// A parked message waits until it is known where its receiver is.
type parked struct {
	question string // the ID of the question where that is; empty while that has time
	to       string
	m        *wire.Message
	since    time.Time
}

// A postbox holds parked messages, the oldest first.
type postbox struct{ parked []parked }

func (p *postbox) full() bool { return len(p.parked) >= maxParked }

func (p *postbox) add(m parked) { p.parked = append(p.parked, m) }

// take removes the messages to a node, and returns them in order.
func (p *postbox) take(to string) (list []*wire.Message) {
	p.parked = slices.DeleteFunc(p.parked, func(m parked) bool {
		if m.to == to {
			list = append(list, m.m)
		}
		return m.to == to
	})
	return list
}

// expire removes the messages that have waited too long, and returns how many these were.
func (p *postbox) expire(now time.Time) (n int) {
	for n < len(p.parked) && now.Sub(p.parked[n].since) >= requestTime {
		n++
	}
	p.parked = p.parked[n:]
	return n
}

// awaits reports whether a message waits for the answer to a question where a node is.
func (p *postbox) awaits(question, to string) bool {
	return slices.ContainsFunc(p.parked, func(m parked) bool { return m.question == question && m.to == to })
}

// deadline returns when a question is due, or a message has waited too long.
func (p *postbox) deadline() (first time.Time) {
	for i, m := range p.parked {
		if i == 0 {
			first = m.since.Add(requestTime)
		}
		if d := m.since.Add(quietTime); m.question == "" && d.Before(first) {
			first = d
		}
	}
	return first
}

// Whisper sends packets to one node. Errors: ErrNoPeers, ErrFull, ErrTooLarge.
func (n *Node) Whisper(now time.Time, to string, packets []any) (Effects, error) {
	err := n.whisper(now, to, wire.New(n.net.Version, wire.Whisper, wire.Whisper, packets...))
	return n.take(), err
}

// whisper sends a message to one node. If it is not connected, others are asked where it
// is, and it is dialled.
func (n *Node) whisper(now time.Time, to string, m *wire.Message) error {
	if s := n.table[to]; s != nil {
		s.sendSigned(now, m)
		return nil
	}
	if len(n.table) == 0 {
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

// ask asks everybody where a node is, once a second. py 3 has nodes of js by text, and
// those of py by bytes. Equal questions of two nodes would be one in 0.4 and 0.5, and only one
// of them answered.
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

// locate answers where a node is that is connected. The answer is a broadcast, as nobody
// knows how the question came here. A js node does not survive it.
func (n *Node) locate(now time.Time, s *Session, m *wire.Message) {
	id, _ := wire.Text(m.Args()[0])
	wanted, _ := wire.Text(m.Args()[1])
	target := n.table[wanted]
	if target == nil || target.peer.Addr.Host == "" || s.peer.Language == wire.JavaScript && n.net.Version.Typed() {
		return
	}
	s.send(now, wire.Broadcast, wire.Response, n.text(id), n.net.Version.ListedArg(target.listed()))
}

// located is where somebody is to whom a message is to go.
func (n *Node) located(m *wire.Message) {
	id, _ := wire.Text(m.Args()[0])
	p, err := n.net.Version.ParseListed(m.Args()[1])
	if err == nil && n.postbox.awaits(id, p.ID) {
		n.out.Dials = append(n.out.Dials, p)
	}
}
