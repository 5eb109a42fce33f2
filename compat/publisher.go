package compat

import (
	"context"
	"errors"
	"iter"

	"github.com/p2p-today/go2p/compat/internal/legacy"
	"github.com/p2p-today/go2p/internal/fanout"
)

// A publisher hands what happens to the observer, and then to the followers of each feed.
type publisher struct {
	observer Observer
	messages fanout.Feed[Message]
	changes  fanout.Feed[Change]
	events   fanout.Feed[Event]
}

func newPublisher(o *Observer) *publisher {
	p := &publisher{}
	if o != nil {
		p.observer = *o
	}
	return p
}

// publish hands out what a call of the core has brought about.
func (p *publisher) publish(out legacy.Effects) {
	publish(out.Messages, p.observer.Message, &p.messages)
	publish(out.Changes, p.observer.Change, &p.changes)
	publish(out.Conflicts, p.observer.Conflict, nil)
	publish(out.Notices, p.observer.Notice, nil)
	publish(out.Presences, p.observer.Presence, nil)
	publish(out.Events, p.observer.Event, &p.events)
}

func publish[T any](items []T, observe func(T), feed *fanout.Feed[T]) {
	for _, item := range items {
		if observe != nil {
			observe(item)
		}
		if feed != nil {
			feed.Publish(item)
		}
	}
}

func (p *publisher) close() {
	p.messages.Close()
	p.changes.Close()
	p.events.Close()
}

// follow yields the items of a feed.
func follow[T any](ctx context.Context, f *fanout.Feed[T]) iter.Seq2[T, error] {
	items := f.Follow(ctx, func(T) bool { return true })
	return func(yield func(T, error) bool) {
		for item, err := range items {
			if errors.Is(err, fanout.ErrClosed) {
				err = ErrClosed
			}
			if !yield(item, err) {
				return
			}
		}
	}
}
