package control

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/p2p-today/go2p/mesh"
)

const (
	maxKept   = 256             // messages that wait to be taken, and that may be replied to
	maxBehind = 4096            // messages that a follower may be behind
	patience  = 5 * time.Second // with a follower that is as far behind as it may be
)

// A Mailbox has the messages that nobody has taken yet, at most the last 256.
// While somebody follows, what arrives is given to all who do and does not wait. Who
// falls too far behind holds everybody up for five seconds, and is ended then. The zero
// value is empty.
type Mailbox struct {
	mu        sync.Mutex
	waiting   []mesh.Message
	recent    []mesh.Message // taken or not
	followers []*follower
}

// A follower reads queue until it is closed, or unfollows.
type follower struct {
	queue chan mesh.Message
	gone  chan struct{} // closed by unfollow
}

// Put takes a message, which other handlers may have, too. What is for old nodes only a
// bridge has. Only one may be put at a time.
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
				b.waiting = appendLast(b.waiting, msg) // under the lock: who follows next finds it there
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

// deliver hands a message to a follower, or ends it.
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

// take returns the oldest n of the waiting messages, all of them if n is 0.
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

// follow returns the oldest n waiting messages, and if those are fewer a follower
// of what arrives from then on.
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

// unfollow ends what follow, or take, has begun, for a reader who did not get some of
// what it was given. Unless others follow, who got it too, that waits again.
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

// find returns one of the last 256 messages by its ID.
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
