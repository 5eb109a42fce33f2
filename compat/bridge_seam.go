package compat

import (
	"context"
	"time"

	"github.com/p2p-today/go2p/compat/internal/bridge/conflict"
	"github.com/p2p-today/go2p/compat/internal/wire"
)

// What the bridge needs of nodes, on nodes as they are now.

// An observer is shown what happens at a node, in order, with the node's lock held: its functions must not block.
type observer struct {
	Message  func(Message)
	Change   func(Change)
	Event    func(Event)
	Conflict func(conflict.Write)
	Notice   func(notice)
	Presence func(presence)
}

func (o *observer) tap(ev any) {
	switch ev := ev.(type) {
	case Message:
		o.Message(ev)
	case Change:
		o.Change(ev)
	case contest:
		o.Conflict(conflict.Write{Key: ev.key, Sender: ev.sender, SenderText: ev.text, Value: ev.value, Time: ev.time})
	case notice:
		o.Notice(ev)
	case presence:
		o.Presence(ev)
	case Event:
		o.Event(ev)
	}
}

func openObserved(ctx context.Context, opts Options, o *observer) (*Node, error) {
	opts.tap = o.tap
	return Open(ctx, opts)
}

func openGhost(ctx context.Context, opts Options, id string, take func(Message)) (*Node, error) {
	opts.Listen, opts.Advertise, opts.Autodial, opts.persona = "", "", false, id
	opts.tap = func(ev any) {
		if m, ok := ev.(Message); ok {
			take(m)
		}
	}
	return Open(ctx, opts)
}

type impersonator struct{ n *Node }

func (i impersonator) AwaitRoom(ctx context.Context) error { return i.n.room(ctx) }

func (i impersonator) Broadcast(sender string, at int64, tag string, args []any) (news bool, err error) {
	err = i.n.do(func(now time.Time) (err error) {
		news, err = i.n.c.carry(now, sender, at, tag, args)
		return err
	})
	return news, err
}

func (i impersonator) Whisper(sender, to string, args []any) error {
	return i.n.do(func(now time.Time) error { return i.n.c.whisperAs(now, sender, to, args) })
}

func (i impersonator) Announce(p presence) error {
	return i.n.do(func(now time.Time) error { i.n.c.present(now, p); return nil })
}

func (i impersonator) Dial(ctx context.Context, addr string) error {
	_, err := i.n.dialAndGreet(ctx, addr)
	return err
}

func (i impersonator) Look(key, owner string, at int64) (e entry, held, accepts bool) {
	i.n.do(func(now time.Time) error {
		d := i.n.c.ext.(*dictionary)
		e, held = d.entries[key]
		accepts = d.surely(now, key, entry{owner: owner, time: at})
		return nil
	})
	return e, held, accepts
}

func (i impersonator) Mirror(key string, was, e entry) error {
	return i.n.do(func(now time.Time) error {
		d := i.n.c.ext.(*dictionary)
		if err := d.mirror(now, key, was, e); err != nil {
			return err
		}
		if was.owner != "" {
			d.visit(now, key, e)
		}
		return nil
	})
}

func (i impersonator) Overwrite(key string, e entry) error {
	return i.n.do(func(now time.Time) error {
		d := i.n.c.ext.(*dictionary)
		return d.mirror(now, key, d.entries[key], e)
	})
}

func (i impersonator) Repeat(key string, e entry) error {
	return i.n.do(func(now time.Time) error {
		d := i.n.c.ext.(*dictionary)
		_, err := d.say(now, key, e)
		d.visit(now, key, e)
		return err
	})
}

func (i impersonator) GhostKeys() (keys []string) {
	i.n.do(func(time.Time) error {
		keys = i.n.c.ext.(*dictionary).borrowed()
		return nil
	})
	return keys
}

func (n *Node) announced(key string) (told bool) {
	n.do(func(time.Time) error {
		told = n.c.ext.(*spread).keys[key]
		return nil
	})
	return told
}

// deleteValue is the value that deletes a key of a dictionary, and deletesKey tells whether one does.
func deleteValue(v wire.Version) any { return (&dictionary{c: &citizen{version: v}}).gone() }

func deletesKey(v wire.Version, value any) bool {
	return (&dictionary{c: &citizen{version: v}}).deletes(value)
}

// storable tells whether old nodes can hold a value in a table.
func storable(v wire.Version, value any) bool {
	return !(&spread{c: &citizen{version: v}}).nothing(value) && (v != wire.V6 || hashable(value))
}

// hashable tells whether py of 0.6 can look a value up.
func hashable(v any) bool {
	_, isList := v.([]any)
	_, isMap := v.(wire.Map)
	return !isList && !isMap
}

// dialingNode is the node of a ghost.
type dialingNode struct {
	*Node
	impersonator
}
