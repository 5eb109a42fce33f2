package legacy

import (
	"slices"
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

const (
	maxParked   = 256              // messages
	requestTime = 30 * time.Second // that a message waits

	// quietTime is how long a node that has just written is not asked for. py fails if it writes while it tells a new
	// node all that it holds, and may lose other connections then.
	quietTime = 2 * time.Second
)

// A parked message waits until a node tells where its receiver is.
type parked struct {
	question string // the ID of the question where the receiver is; empty until it is asked
	to       string
	m        *wire.Message
	since    time.Time
}

// A postbox holds parked messages, the oldest first.
type postbox struct{ parked []parked }

// full reports whether there is no room for one more.
func (p *postbox) full() bool { return len(p.parked) >= maxParked }

// add parks a message.
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

// expire removes the messages that have waited too long, and returns how many they were.
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

// deadline returns when a question is due, or a message has waited too long. Zero is never.
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
