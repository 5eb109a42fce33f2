package control

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/p2p-today/go2p/mesh"
)

const (
	maxKept   = 256             // messages that wait for a reader, and messages that may be replied to
	maxBehind = 4096            // messages that wait for one follower
	patience  = 5 * time.Second // for a follower whose queue is full
)

// A Mailbox keeps the messages that no reader has taken yet, at most the last 256. While there are followers, each gets
// every message that arrives, and none waits. A follower that is 4096 messages behind delays the mesh by up to five
// seconds, and is ended then. The lock mu guards all fields. The zero value is empty.
type Mailbox struct {
	mu        sync.Mutex
	waiting   []mesh.Message
	recent    []mesh.Message // taken or not
	followers []*follower
}

// A follower is a reader of queue, until queue is closed or the reader calls unfollow.
type follower struct {
	queue chan mesh.Message
	gone  chan struct{} // closed by unfollow
}

// Put adds a message, as a handler of the mesh. It ignores messages to old nodes, which are for the bridge. It reports
// false, so that other handlers get the message, too. Put must not be called concurrently.
func (b *Mailbox) Put(ctx context.Context, msg mesh.Message) (taken bool) {
	if isOld(msg.To) {
		return false
	}
	b.mu.Lock()
	b.recent = appendLast(b.recent, msg)
	b.mu.Unlock()
	got := false
	tried := map[*follower]bool{}
	for {
		b.mu.Lock()
		followers := slices.DeleteFunc(slices.Clone(b.followers), func(f *follower) bool { return tried[f] })
		if len(followers) == 0 {
			if !got {
				b.waiting = appendLast(b.waiting, msg) // with the lock held, so that the next follower finds it
			}
			b.mu.Unlock()
			return false
		}
		b.mu.Unlock()
		for _, f := range followers {
			tried[f] = true
			got = b.deliver(ctx, f, msg) || got
		}
		if got {
			return false
		}
	}
}

// deliver adds a message to the queue of a follower. It ends a follower that does not read.
func (b *Mailbox) deliver(ctx context.Context, f *follower, msg mesh.Message) bool {
	select {
	case <-f.gone:
		return false
	case f.queue <- msg:
		return true
	default:
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case f.queue <- msg:
		return true
	case <-f.gone:
	case <-ctx.Done():
	case <-late.C:
		b.mu.Lock()
		b.followers = slices.DeleteFunc(b.followers, func(o *follower) bool { return o == f })
		b.mu.Unlock()
		close(f.queue)
	}
	return false
}

func appendLast(list []mesh.Message, msg mesh.Message) []mesh.Message {
	if len(list) == maxKept {
		list = slices.Delete(list, 0, 1)
	}
	return append(list, msg)
}

// take removes and returns the oldest n waiting messages, or all if n is 0.
func (b *Mailbox) take(n int) []mesh.Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.takeLocked(n)
}

func (b *Mailbox) takeLocked(n int) []mesh.Message {
	if n == 0 || n > len(b.waiting) {
		n = len(b.waiting)
	}
	taken := slices.Clone(b.waiting[:n])
	b.waiting = slices.Delete(b.waiting, 0, n)
	return taken
}

// follow takes the oldest n waiting messages, as take does. If there are fewer, it also returns a follower of the
// messages that arrive from then on.
func (b *Mailbox) follow(n int) ([]mesh.Message, *follower) {
	b.mu.Lock()
	defer b.mu.Unlock()
	taken := b.takeLocked(n)
	if n > 0 && len(taken) == n {
		return taken, nil
	}
	f := &follower{make(chan mesh.Message, maxBehind), make(chan struct{})}
	b.followers = append(b.followers, f)
	return taken, f
}

// unfollow ends a follower, which may be nil. The messages unsent, which its reader did not get, and those in its queue
// wait again, unless another follower has got them.
func (b *Mailbox) unfollow(f *follower, unsent []mesh.Message) {
	if f != nil {
		close(f.gone)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.followers = slices.DeleteFunc(b.followers, func(o *follower) bool { return o == f })
	for f != nil && len(f.queue) > 0 {
		unsent = append(unsent, <-f.queue)
	}
	if len(b.followers) == 0 {
		b.waiting = slices.Concat(unsent, b.waiting)
		b.waiting = b.waiting[max(0, len(b.waiting)-maxKept):]
	}
}

// find returns one of the last 256 messages by its ID, taken or not.
func (b *Mailbox) find(id string) (mesh.Message, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.IndexFunc(b.recent, func(msg mesh.Message) bool { return msg.ID == id })
	if i < 0 {
		return mesh.Message{}, false
	}
	return b.recent[i], true
}

func (b *Mailbox) len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.waiting)
}
