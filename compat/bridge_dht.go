package compat

import (
	"context"
	"errors"
	"time"

	"github.com/p2p-today/go2p/chord"
	"github.com/p2p-today/go2p/compat/internal/wire"
)

const (
	maxAgreed  = 1 << 16         // keys that are remembered of which both tables have the same
	shareAgain = 5 * time.Second // until a key is tried again that could not be read or written
	shareWait  = time.Second     // until one is looked at again of which not all is known
)

// watchTable notes which keys of the native table there are, and then which change.
func (l *link) watchTable() {
	t := l.b.opts.Chord
	for l.ctx.Err() == nil {
		changes := t.Watch(l.ctx, "")
		l.wg.Go(func() {
			for key, err := range t.Keys(l.ctx) {
				if err != nil || l.work.fromNative(l.ctx, key, cause{}) != nil {
					return
				}
			}
		})
		for c, err := range changes {
			if err != nil || c.Kind == chord.Missed { // all are looked at again
				break
			}
			if l.work.fromNative(l.ctx, c.Key, cause{version: c.Version, deleted: c.Kind == chord.Deleted}) != nil {
				break
			}
		}
		if !l.sleep(settleTime) {
			return
		}
	}
}

// share looks at one key after the other.
func (l *link) share() {
	agreed := map[string]string{} // what both tables had last, as bytes
	for {
		key, c, err := l.work.take(l.ctx)
		if err != nil {
			return
		}
		if l.node.AwaitPeers(l.ctx) != nil {
			return
		}
		if len(agreed) >= maxAgreed {
			clear(agreed)
		}
		ctx, cancel := context.WithTimeout(l.ctx, 2*carryTime)
		done, err := l.shareKey(ctx, key, c, agreed)
		cancel()
		if err != nil && l.ctx.Err() == nil {
			l.b.log.Info("a key does not cross yet", "link", l.name, "key", key, "err", err)
			l.dropped.drop(DropLater)
		}
		if done && err == nil {
			continue
		}
		pause := shareAgain
		if err == nil {
			c.again, pause = true, shareWait
		}
		l.wg.Go(func() {
			if l.sleep(pause) {
				l.work.again(key, c)
			}
		})
	}
}

// shareKey has one table follow the other. It is not done if it should be done again for
// what may then be known.
func (l *link) shareKey(ctx context.Context, key string, c cause, agreed map[string]string) (done bool, err error) {
	t := l.b.opts.Chord
	native, err := t.Item(ctx, key, nil)
	if err != nil && !errors.Is(err, chord.ErrNotFound) {
		return false, err
	}
	nativeHeld := err == nil
	if c.outruns(nativeHeld, native.Version) && !c.again {
		return false, nil
	}
	var old any
	if err = ErrNotFound; c.old || l.heardOf(key) {
		old, err = l.node.get(ctx, key)
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		return false, err
	}
	oldHeld := err == nil
	nativeBytes, args := l.travels(native.Value, nativeHeld)
	oldBytes, _ := l.travels(goValue(old), oldHeld)
	last, known := agreed[key]
	v := share{nativeBytes, oldBytes, last, known, c.deleted, c.gone, c.again}.decide()
	if v == carryOut && args == nil {
		l.dropped.drop(DropValue)
		return true, nil
	}
	switch v {
	case wait:
		return false, nil
	case carryIn:
		err = t.Set(ctx, key, goValue(old))
		nativeBytes = oldBytes
	case removeIn:
		err = t.Delete(ctx, key)
		nativeBytes = ""
	case carryOut:
		err = l.node.write(ctx, key, args[0])
	case removeOut:
		err = l.node.remove(ctx, key)
	default:
		err = nil
	}
	if err != nil {
		return false, err
	}
	switch v {
	case carryIn, removeIn:
		l.in.Add(1)
	case carryOut, removeOut:
		l.out.Add(1)
	}
	agreed[key] = nativeBytes
	return true, nil
}

// heardOf tells whether somebody has told of a key in the old table. To look for one that
// is not there takes long.
func (l *link) heardOf(key string) (told bool) {
	l.node.do(func(time.Time) error {
		told = l.node.c.ext.(*spread).keys[key]
		return nil
	})
	return told
}

// travels is a value as it travels in the old network, and the bytes of that; they are
// empty if there is none.
func (l *link) travels(v any, held bool) (text string, args []any) {
	if !held {
		return "", nil
	}
	args, err := fromGo(l.node.c.version, []any{v})
	if err != nil {
		return "?", nil
	}
	if s := l.node.c.ext.(*spread); s.nothing(args[0]) || l.node.c.version == wire.V6 && !hashable(args[0]) {
		return "?", nil
	}
	b, err := wire.AppendValue(nil, args[0])
	if err != nil {
		return "?", nil
	}
	return string(b), args
}

// hashable tells whether py of 0.6 can look a value up.
func hashable(v any) bool {
	_, isList := v.([]any)
	_, isMap := v.(wire.Map)
	return !isList && !isMap
}
