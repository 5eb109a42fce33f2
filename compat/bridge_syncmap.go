package compat

import (
	"cmp"
	"context"
	"errors"
	"time"

	p2psync "github.com/p2p-today/go2p/sync"
)

// watchDict notes which keys change natively, once old nodes have had time to say what they
// have.
func (l *link) watchDict() {
	for {
		l.mu.Lock()
		joined := l.vote.joined
		l.mu.Unlock()
		if !joined.IsZero() && time.Since(joined) >= settleTime {
			break
		}
		if !l.sleep(settleTime / 10) {
			return
		}
	}
	for l.ctx.Err() == nil {
		for c, err := range l.b.opts.Sync.Watch(l.ctx, "", "") {
			if err != nil {
				break
			}
			keys := []string{c.Key}
			if c.Kind == p2psync.Reset { // some may have been deleted that do not follow
				l.node.do(func(time.Time) error {
					keys = l.node.c.ext.(*dictionary).borrowed()
					return nil
				})
			}
			for _, key := range keys {
				if l.work.fromNative(l.ctx, key, cause{}) != nil {
					return // the link is closed
				}
			}
		}
		if !l.sleep(settleTime) { // the dictionary is closed, or its disk is full
			return
		}
	}
}

// mirror looks at one key after the other, and has each side follow the other.
func (l *link) mirror() {
	l.rivals = rivals{}
	for {
		key, c, err := l.work.take(l.ctx)
		if err != nil {
			return
		}
		if c.old {
			err = l.follow(key, c)
		}
		for _, w := range c.lost {
			if err == nil {
				err = l.settle(key, w)
			}
		}
		if err == nil && c.native {
			err = l.lead(key)
		}
		if err != nil && l.ctx.Err() == nil {
			l.b.log.Info("a key does not cross", "link", l.name, "key", key, "err", err)
		}
	}
}

// both is what both sides have under a key, with the values.
type both struct {
	sides
	value    any   // native, as it travels
	oldValue any   // of Go
	entry    entry // what the node has
}

func (l *link) look(key string) (s both) {
	item, err := l.b.opts.Sync.Item(key)
	if err == nil {
		s.native = claim{true, derive(item.Lease.Owner, l.id), false, item.Time.Add(-aside).Unix()}
		if _, id, ok := splitOrigin(item.Lease.Owner); ok && l.isResident(id) {
			s.native.owner = id
		}
	}
	l.node.do(func(now time.Time) error {
		d := l.node.c.ext.(*dictionary)
		e, held := d.entries[key]
		s.old = claim{held, e.owner, e.ownerText, e.time}
		s.oldValue, s.entry = goValue(e.value), e
		if args, err := fromGo(d.c.version, []any{item.Value}); err == nil && s.native.held && !d.deletes(args[0]) {
			s.value, s.crosses = args[0], true
		}
		if back, err := fromGo(d.c.version, []any{s.oldValue}); err == nil && held && s.crosses {
			s.equal = sameValue(back[0], s.value)
		}
		s.accepts = d.surely(now, key, entry{owner: s.native.owner, time: recently(now, s.native.time)})
		return nil
	})
	return s
}

// lead has the old side follow the native one.
func (l *link) lead(key string) error {
	s := l.look(key)
	return l.act(key, fromNative(time.Now(), s.sides), s)
}

// follow has the native side follow the old one.
func (l *link) follow(key string, c cause) error {
	s := l.look(key)
	if !s.old.held {
		s.old.owner, s.old.time = c.owner, c.time
	}
	return l.act(key, fromOld(s.old), s)
}

// settle decides about a write in the old network that this node has not taken: who wrote
// it gets what stands.
func (l *link) settle(key string, c contest) error {
	s := l.look(key)
	lost := claim{c.value != nil, c.sender, c.text, c.time}
	own := s.old.owner == derive(originOf(l.opts.Subnet, c.sender), l.id)
	args, err := fromGo(l.node.c.version, []any{c.value})
	v, isRival := fromContest(time.Now(), lost, own, err == nil && sameValue(args[0], s.value), s.sides)
	if isRival {
		l.rivals.add(time.Now(), key, rival{id: c.sender, text: c.text})
	}
	switch v.do {
	case carryIn:
		s.oldValue, s.old = c.value, lost
		if err := cmp.Or(l.act(key, v, s), err); err != nil {
			return err
		}
		return l.node.do(func(now time.Time) error {
			d := l.node.c.ext.(*dictionary)
			return d.mirror(now, key, d.entries[key], entry{args[0], v.owner, v.text, recently(now, v.time)})
		})
	case carryOut:
		l.dropped.drop(DropContest)
		return l.sayTo(key, entry{s.value, v.owner, v.text, v.time})
	}
	return nil
}

// sayTo writes a key under the name of a rival.
func (l *link) sayTo(key string, e entry) error {
	return l.node.do(func(now time.Time) error {
		d := l.node.c.ext.(*dictionary)
		_, err := d.say(now, key, e)
		d.visit(now, key, e)
		return err
	})
}

// act does what was decided.
func (l *link) act(key string, v verdict, s both) error {
	by := p2psync.Carried{Owner: originOf(l.opts.Subnet, v.owner), Time: time.Unix(v.time, 0), Age: min(lease, max(0, time.Since(time.Unix(v.time, 0))))}
	ctx, cancel := context.WithTimeout(l.ctx, carryTime)
	defer cancel()
	var err error
	switch v.do {
	case nothing:
		return nil
	case carryIn:
		if err = l.b.opts.Sync.Carry(ctx, by, key, s.oldValue); err == nil {
			l.in.Add(1)
		}
	case removeIn:
		if err = l.b.opts.Sync.CarryDelete(ctx, by, key); err == nil {
			l.in.Add(1)
		}
	case carryOut, removeOut:
		if !s.crosses && s.native.held {
			l.dropped.drop(DropValue)
		}
		return l.tell(ctx, key, v, s)
	case withhold:
		l.dropped.drop(DropValue)
		return nil
	}
	switch {
	case err == nil, errors.Is(err, p2psync.ErrNotFound):
		return nil
	case !isLease(err):
		l.fail(err)
		return err
	}
	l.dropped.drop(DropContest)
	s = l.look(key)
	return l.act(key, fromLeased(time.Now(), v.do, s.sides), s)
}

func isLease(err error) bool {
	var lease *p2psync.LeaseError
	return errors.As(err, &lease)
}

// tell writes a key in the old network, or deletes it there; unless that has changed it
// since it was looked at: then it is looked at again.
func (l *link) tell(ctx context.Context, key string, v verdict, s both) error {
	if err := l.node.room(ctx); err != nil {
		return err
	}
	value := s.value
	var rivals []rival
	err := l.node.do(func(now time.Time) error {
		d := l.node.c.ext.(*dictionary)
		if v.do == removeOut {
			value = d.gone()
		}
		e := entry{value, v.owner, v.text, v.time}
		if err := d.mirror(now, key, s.entry, e); err != nil {
			return err
		}
		if s.old.held {
			d.visit(now, key, e)
		}
		rivals = l.rivals.told(now, key, v.owner, v.do == removeOut)
		return nil
	})
	if errors.Is(err, errChanged) {
		l.work.again(key, cause{native: true})
		return nil
	}
	if err != nil {
		l.dropped.drop(DropEncoding)
		return err
	}
	l.out.Add(1)
	for _, r := range rivals {
		if err := l.sayTo(key, entry{value, r.id, r.text, v.time}); err != nil {
			return err
		}
	}
	return nil
}
