package compat

import (
	"context"
	"errors"
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
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
			if err != nil || c.Kind != p2psync.Reset && l.work.fromNative(l.ctx, c.Key, cause{}) != nil {
				break
			}
		}
		if !l.sleep(settleTime) { // the dictionary is closed, or its disk is full
			return
		}
	}
}

// A rival is an old node that has written a key without knowing that it was leased from
// elsewhere. It takes no more of whom this node and others hold for the owner, so that it
// is told under its own name, too.
type rival struct {
	id    string
	text  bool
	until time.Time // its lease
}

const maxRivals = 4096

// mirror looks at one key after the other, and has each side follow the other.
func (l *link) mirror() {
	l.rivals = map[string]rival{}
	for {
		key, c, err := l.work.take(l.ctx)
		if err != nil {
			return
		}
		if c.contest != nil {
			err = l.settle(key, *c.contest)
		} else if c.old {
			err = l.follow(key, c)
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
	value    any // native, as it travels
	oldValue any // of Go
}

func (l *link) look(key string) (s both) {
	item, err := l.b.opts.Sync.Item(key)
	if err == nil {
		s.native = claim{true, derive(item.Lease.Owner, l.id), false, item.Time.Unix()}
		if _, id, ok := splitOrigin(item.Lease.Owner); ok && l.isResident(id) {
			s.native.owner = id
		}
	}
	l.node.do(func(now time.Time) error {
		d := l.node.c.ext.(*dictionary)
		e, held := d.entries[key]
		s.old = claim{held, e.owner, e.ownerText, e.time}
		s.oldValue = goValue(e.value)
		if args, err := fromGo(d.c.version, []any{item.Value}); err == nil && s.native.held && !d.deletes(args[0]) {
			s.value, s.crosses = args[0], true
		}
		if back, err := fromGo(d.c.version, []any{s.oldValue}); err == nil && held && s.crosses {
			s.equal = sameValue(back[0], s.value)
		}
		s.accepts = d.accepts(now, key, entry{owner: s.native.owner, time: recently(now, s.native.time)}, false)
		return nil
	})
	return s
}

func sameValue(a, b any) bool {
	x, errX := wire.AppendValue(nil, a)
	y, errY := wire.AppendValue(nil, b)
	return errX == nil && errY == nil && string(x) == string(y)
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
	if s.old.owner == derive(originOf(l.opts.Subnet, c.sender), l.id) && c.value != nil {
		// It was carried here under another ID before it was known that it is of this network.
		s.oldValue, s.old = c.value, claim{true, c.sender, c.text, c.time}
		if err := l.act(key, fromOld(s.old), s); err != nil {
			return err
		}
		return l.node.do(func(now time.Time) error {
			args, err := fromGo(l.node.c.version, []any{c.value})
			if err != nil {
				return err
			}
			return l.node.c.ext.(*dictionary).mirror(now, key, entry{args[0], c.sender, c.text, recently(now, c.time)})
		})
	}
	if !s.native.held || !s.crosses {
		return nil
	}
	l.dropped.drop(DropContest)
	if len(l.rivals) >= maxRivals {
		clear(l.rivals)
	}
	l.rivals[key] = rival{c.sender, c.text, time.Now().Add(lease)}
	return l.sayTo(key, entry{s.value, c.sender, c.text, c.time})
}

// sayTo writes a key under the name of a rival.
func (l *link) sayTo(key string, e entry) error {
	return l.node.do(func(now time.Time) error {
		e.time = recently(now, e.time)
		_, err := l.node.c.ext.(*dictionary).say(now, key, e)
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
		return l.tell(ctx, key, v, s.value)
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

// tell writes a key in the old network, or deletes it there.
func (l *link) tell(ctx context.Context, key string, v verdict, value any) error {
	if err := l.node.room(ctx); err != nil {
		return err
	}
	err := l.node.do(func(now time.Time) error {
		d := l.node.c.ext.(*dictionary)
		if v.do == removeOut {
			value = d.gone()
		}
		return d.mirror(now, key, entry{value, v.owner, v.text, v.time})
	})
	if err != nil {
		l.dropped.drop(DropEncoding)
		return err
	}
	l.out.Add(1)
	if r, ok := l.rivals[key]; ok && marked(v.owner) {
		if delete(l.rivals, key); time.Now().Before(r.until) && v.do == carryOut {
			l.rivals[key] = rival{r.id, r.text, time.Now().Add(lease)}
		}
		return l.sayTo(key, entry{value, r.id, r.text, v.time})
	}
	return nil
}
