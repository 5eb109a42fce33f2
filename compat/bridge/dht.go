package bridge

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"time"

	"github.com/p2p-today/go2p/chord"
	"github.com/p2p-today/go2p/compat"
	"github.com/p2p-today/go2p/compat/bridge/internal/election"
	"github.com/p2p-today/go2p/compat/bridge/internal/policy"
	"github.com/p2p-today/go2p/compat/internal/legacy"
	"github.com/p2p-today/go2p/compat/internal/wire"
)

const (
	maxAgreed  = 1 << 16         // keys that are remembered because both tables hold the same
	retryAfter = 5 * time.Second // until a key is tried again that could not be read or written
	lookAfter  = time.Second     // until a key is looked at again, about which too little is known
)

// A nativeTable is the native table, as the portal sees it.
type nativeTable interface {
	Watch(ctx context.Context, prefix string) iter.Seq2[chord.Change, error]
	Keys(ctx context.Context) iter.Seq2[string, error]
	Item(ctx context.Context, key string, trace func(chord.Step)) (chord.Item, error)
	Set(ctx context.Context, key string, value any) error
	Delete(ctx context.Context, key string) error
}

// An oldTable is the bridge's node in an old chord network, as the portal sees it. Values are of Go.
type oldTable interface {
	AwaitPeers(ctx context.Context) error
	Get(ctx context.Context, key string) (any, error)
	Set(ctx context.Context, key string, value any) error
	Delete(ctx context.Context, key string) error
	// Announced reports whether somebody has told of a key. To look for one that is not there takes long.
	Announced(key string) bool
}

// A chordPortal is the portal of the keys of an old table and the native one. One loop, run, looks at one key after the
// other and owns agreed; another, watch, follows the native table.
type chordPortal struct {
	network  network
	old      oldTable
	native   nativeTable
	queue    *workQueue
	counters *counters
	log      *slog.Logger

	agreed map[string]string // what both tables held last, as bytes
	start  func(func())      // a goroutine of the link
}

// watch notes which keys of the native table there are, and then which change.
func (p *chordPortal) watch(ctx context.Context) {
	for ctx.Err() == nil {
		changes := p.native.Watch(ctx, "")
		p.start(func() {
			for key, err := range p.native.Keys(ctx) {
				if err != nil || p.queue.addNative(ctx, key, cause{}) != nil {
					return
				}
			}
		})
		for c, err := range changes {
			if err != nil || c.Kind == chord.Missed { // all are looked at again
				break
			}
			if p.queue.addNative(ctx, c.Key, cause{Version: c.Version, Deleted: c.Kind == chord.Deleted}) != nil {
				break
			}
		}
		if !sleep(ctx, election.Settle) {
			return
		}
	}
}

// run looks at one key after the other.
func (p *chordPortal) run(ctx context.Context) {
	for {
		key, c, err := p.queue.take(ctx)
		if err != nil || p.old.AwaitPeers(ctx) != nil {
			return
		}
		if len(p.agreed) >= maxAgreed {
			clear(p.agreed)
		}
		done, err := p.process(ctx, key, c)
		if err != nil && ctx.Err() == nil {
			p.log.Info("a key does not cross yet", "key", key, "err", err)
			p.counters.drop(DropLater)
		}
		switch {
		case err != nil:
			p.again(ctx, retryAfter, key, c)
		case !done:
			c.Again = true
			p.again(ctx, lookAfter, key, c)
		}
	}
}

// again has a key looked at again after a while.
func (p *chordPortal) again(ctx context.Context, d time.Duration, key string, c cause) {
	p.start(func() {
		if sleep(ctx, d) {
			p.queue.addAgain(key, c)
		}
	})
}

// process has one table follow the other. It reports whether the key needs no other look at what may then be known.
func (p *chordPortal) process(ctx context.Context, key string, c cause) (done bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*nativeTime)
	defer cancel()
	native, err := p.native.Item(ctx, key, nil)
	if err != nil && !errors.Is(err, chord.ErrNotFound) {
		return false, err
	}
	held := err == nil
	if c.Ahead(held, native.Version) && !c.Again {
		return false, nil
	}
	old, oldHeld, err := p.read(ctx, key, c)
	if err != nil {
		return false, err
	}
	t := policy.Table{NativeDeleted: c.Deleted, OldDeleted: c.OldDeleted, Again: c.Again}
	exists := true
	if held {
		t.Native, exists = p.bytes(native.Value)
	}
	if oldHeld {
		t.Old, _ = p.bytes(old)
	}
	t.Agreed, t.Known = p.agreed[key]
	do := t.Decide()
	switch do {
	case policy.Wait:
		return false, nil
	case policy.CopyIn:
		err = p.native.Set(ctx, key, old)
		t.Native = t.Old
	case policy.DeleteIn:
		err = p.native.Delete(ctx, key)
		t.Native = ""
	case policy.CopyOut:
		if !exists {
			p.counters.drop(DropValue)
			return true, nil
		}
		err = p.old.Set(ctx, key, native.Value)
	case policy.DeleteOut:
		err = p.old.Delete(ctx, key)
	}
	if err != nil {
		return false, err
	}
	switch do {
	case policy.CopyIn, policy.DeleteIn:
		p.counters.in.Add(1)
	case policy.CopyOut, policy.DeleteOut:
		p.counters.out.Add(1)
	}
	p.agreed[key] = t.Native
	return true, nil
}

// read reads a key of the old table, if somebody has told of it.
func (p *chordPortal) read(ctx context.Context, key string, c cause) (v any, held bool, err error) {
	if !c.Old && !p.old.Announced(key) {
		return nil, false, nil
	}
	v, err = p.old.Get(ctx, key)
	if errors.Is(err, compat.ErrNotFound) {
		return nil, false, nil
	}
	return v, err == nil, err
}

// bytes returns a value as it travels in the old network, and reports whether old nodes can hold it; else the bytes are
// none of a value.
func (p *chordPortal) bytes(v any) (text string, exists bool) {
	const none = "?"
	args, err := p.network.encode(v)
	if err != nil || !legacy.Storable(p.network.version, args[0]) {
		return none, false
	}
	b, err := wire.AppendValue(nil, args[0])
	if err != nil {
		return none, false
	}
	return string(b), true
}
