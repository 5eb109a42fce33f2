package control

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/p2p-today/go2p/mesh"
)

const (
	kept   = 256  // messages that wait to be taken, and that may be replied to
	behind = 4096 // messages that a follower may be behind
)

// A mailbox has the messages that nobody has taken yet, at most the last 256.
// While somebody follows, what arrives is given to all who do and does not wait; who
// falls too far behind is ended.
type mailbox struct {
	mu        sync.Mutex
	waiting   []mesh.Message
	recent    []mesh.Message // taken or not
	followers []chan mesh.Message
}

// fill puts in what a mesh gets, until its end or the context's. If it lagged
// behind, more has come than a mailbox keeps, and it goes on with what comes next.
func (b *mailbox) fill(ctx context.Context, m *mesh.Mesh) {
	for {
		for msg, err := range m.Messages(ctx) {
			if err != nil && !errors.Is(err, mesh.ErrLagged) {
				return
			}
			if err == nil {
				b.put(msg)
			}
		}
	}
}

func (b *mailbox) put(msg mesh.Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.recent = appendLast(b.recent, msg)
	if len(b.followers) == 0 {
		b.waiting = appendLast(b.waiting, msg)
	}
	b.followers = slices.DeleteFunc(b.followers, func(f chan mesh.Message) bool {
		select {
		case f <- msg:
			return false
		default: // it does not read: end it
			close(f)
			return true
		}
	})
}

func appendLast(list []mesh.Message, msg mesh.Message) []mesh.Message {
	if len(list) == kept {
		list = slices.Delete(list, 0, 1)
	}
	return append(list, msg)
}

// take returns the oldest n of the waiting messages, all of them if n is 0.
func (b *mailbox) take(n int) []mesh.Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.takeLocked(n)
}

func (b *mailbox) takeLocked(n int) []mesh.Message {
	if n == 0 || n > len(b.waiting) {
		n = len(b.waiting)
	}
	taken := slices.Clone(b.waiting[:n])
	b.waiting = slices.Delete(b.waiting, 0, n)
	return taken
}

// follow returns the oldest n waiting messages, and if those are fewer a channel
// with what arrives from then on. The channel is closed if it is not read.
func (b *mailbox) follow(n int) ([]mesh.Message, chan mesh.Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	taken := b.takeLocked(n)
	if n > 0 && len(taken) == n {
		return taken, nil
	}
	f := make(chan mesh.Message, behind)
	b.followers = append(b.followers, f)
	return taken, f
}

// unfollow ends what follow, or take, has begun, for a reader who did not get some of
// what it was given. Unless others follow, who got it too, that waits again.
func (b *mailbox) unfollow(f chan mesh.Message, unsent []mesh.Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.followers = slices.DeleteFunc(b.followers, func(o chan mesh.Message) bool { return o == f })
	for len(f) > 0 {
		unsent = append(unsent, <-f)
	}
	if len(b.followers) == 0 {
		b.waiting = slices.Concat(unsent, b.waiting)
		b.waiting = b.waiting[max(0, len(b.waiting)-kept):]
	}
}

// find returns one of the last 256 messages by its ID.
func (b *mailbox) find(id string) (mesh.Message, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.IndexFunc(b.recent, func(msg mesh.Message) bool { return msg.ID == id })
	if i < 0 {
		return mesh.Message{}, false
	}
	return b.recent[i], true
}

func (b *mailbox) len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.waiting)
}
