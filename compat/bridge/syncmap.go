package bridge

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"log/slog"
	"time"

	"github.com/p2p-today/go2p/compat"
	"github.com/p2p-today/go2p/compat/bridge/internal/conflict"
	"github.com/p2p-today/go2p/compat/bridge/internal/election"
	"github.com/p2p-today/go2p/compat/bridge/internal/policy"
	"github.com/p2p-today/go2p/compat/internal/legacy"
	p2psync "github.com/p2p-today/go2p/sync"
)

// A nativeDict is the native dictionary, as the portal sees it.
type nativeDict interface {
	Watch(ctx context.Context, prefix string, after p2psync.Revision) iter.Seq2[p2psync.Change, error]
	Item(key string) (p2psync.Item, error)
	Relay(ctx context.Context, by p2psync.Relayed, key string, value any) error
	RelayDelete(ctx context.Context, by p2psync.Relayed, key string) error
}

// An oldDict is the bridge's node in an old sync network, as the portal sees it. Each call sees and changes the
// dictionary in one step.
type oldDict interface {
	AwaitRoom(ctx context.Context) error
	// Look returns the entry of a key, and whether old nodes accept a write of an owner at a time, in seconds.
	Look(key, owner string, at int64) (e legacy.Entry, held, accepts bool)
	// Mirror writes an entry at the node and at others, if the key is as it was. Error: legacy.ErrChanged.
	Mirror(key string, was, e legacy.Entry) error
	// Overwrite does so however the key is.
	Overwrite(key string, e legacy.Entry) error
	// Repeat writes an entry at other nodes only.
	Repeat(key string, e legacy.Entry) error
	// GhostKeys returns the keys that belong to ghosts.
	GhostKeys() []string
}

// A syncPortal is the portal of the keys of an old dictionary and the native one. One loop, run, looks at one key after
// the other and owns losers; another, watch, follows the native dictionary.
type syncPortal struct {
	network    network
	old        oldDict
	native     nativeDict
	queue      *workQueue
	leadership *leadership
	residents  *residents
	counters   *counters
	log        *slog.Logger

	losers conflict.Losers
}

// watch notes which keys change natively, once old nodes have had time to say what they have.
func (p *syncPortal) watch(ctx context.Context) {
	for !p.leadership.settled() {
		if !sleep(ctx, election.Settle/10) {
			return
		}
	}
	for ctx.Err() == nil {
		for c, err := range p.native.Watch(ctx, "", "") {
			if err != nil {
				break
			}
			keys := []string{c.Key}
			if c.Kind == p2psync.Reset { // some may have been deleted that do not follow
				keys = p.old.GhostKeys()
			}
			for _, key := range keys {
				if p.queue.addNative(ctx, key, cause{}) != nil {
					return
				}
			}
		}
		if !sleep(ctx, election.Settle) { // the dictionary is closed, or its disk is full
			return
		}
	}
}

// run looks at one key after the other, and has each side follow the other.
func (p *syncPortal) run(ctx context.Context) {
	for {
		key, c, err := p.queue.take(ctx)
		if err != nil {
			return
		}
		if err := p.process(ctx, key, c); err != nil && ctx.Err() == nil {
			p.log.Info("a key does not cross", "key", key, "err", err)
		}
	}
}

// process looks at a key for all causes there are.
func (p *syncPortal) process(ctx context.Context, key string, c cause) error {
	if c.Old {
		if err := p.followOld(ctx, key, c); err != nil {
			return err
		}
	}
	for _, w := range c.Lost {
		if err := p.resolve(ctx, key, w); err != nil {
			return err
		}
	}
	if !c.Native {
		return nil
	}
	v := p.view(key)
	return p.apply(ctx, key, policy.NativeChanged(time.Now(), v.Sides), v)
}

// A view has the claims of both sides to a key, and their values.
type view struct {
	policy.Sides
	value    any          // native, as it travels
	oldValue any          // of Go
	entry    legacy.Entry // what the node has
}

// view looks at both sides.
func (p *syncPortal) view(key string) (v view) {
	item, err := p.native.Item(key)
	if err == nil {
		at := item.Time.Add(-policy.Backdate).Unix()
		v.Native = policy.Claim{Held: true, Owner: p.network.ghost(item.Lease.Owner), Ghost: true, Time: at}
		if _, id, ok := legacy.SplitOrigin(item.Lease.Owner); ok && p.residents.has(id) {
			v.Native.Owner, v.Native.Ghost = id, legacy.IsGhost(id)
		}
	}
	e, held, accepts := p.old.Look(key, v.Native.Owner, policy.Fresh(time.Now(), v.Native.Time))
	v.Old = policy.Claim{Held: held, Owner: e.Owner, Ghost: legacy.IsGhost(e.Owner), Text: e.OwnerText, Time: e.Time}
	v.oldValue, v.entry, v.Accepted = legacy.ToGo(e.Value), e, accepts
	native, err := p.network.encode(item.Value)
	if err == nil && v.Native.Held && !legacy.Deletes(p.network.version, native[0]) {
		v.value, v.Exists = native[0], true
	}
	old, err := p.network.encode(v.oldValue)
	v.Equal = err == nil && held && v.Exists && legacy.SameValue(old[0], v.value)
	return v
}

// followOld has the native side follow the old one.
func (p *syncPortal) followOld(ctx context.Context, key string, c cause) error {
	v := p.view(key)
	if !v.Old.Held {
		v.Old.Owner, v.Old.Ghost, v.Old.Time = c.Owner, legacy.IsGhost(c.Owner), c.Time
	}
	return p.apply(ctx, key, policy.OldChanged(v.Old), v)
}

// resolve resolves a write conflict: the losing writer gets the value that stands.
func (p *syncPortal) resolve(ctx context.Context, key string, w legacy.WriteConflict) error {
	v := p.view(key)
	write := policy.Claim{Held: w.Value != nil, Owner: w.Sender, Text: w.SenderText, Time: w.Time}
	own := v.Old.Owner == p.network.ghost(p.network.origin(w.Sender))
	args, err := p.network.encode(w.Value)
	verdict, lost := policy.WriteLost(time.Now(), write, own, err == nil && legacy.SameValue(args[0], v.value), v.Sides)
	if lost {
		p.losers.Add(time.Now(), key, conflict.Loser{ID: w.Sender, Text: w.SenderText})
	}
	switch verdict.Do {
	case policy.CopyIn:
		v.oldValue, v.Old = w.Value, write
		if err := cmp.Or(p.apply(ctx, key, verdict, v), err); err != nil {
			return err
		}
		verdict.Time = policy.Fresh(time.Now(), verdict.Time)
		return p.old.Overwrite(key, entry(verdict, args[0]))
	case policy.CopyOut:
		p.counters.drop(DropConflict)
		return p.old.Repeat(key, entry(verdict, v.value))
	}
	return nil
}

// apply applies a verdict.
func (p *syncPortal) apply(ctx context.Context, key string, verdict policy.Verdict, v view) error {
	life := ctx
	ctx, cancel := context.WithTimeout(ctx, nativeTime)
	defer cancel()
	var err error
	switch verdict.Do {
	case policy.CopyIn:
		err = p.native.Relay(ctx, p.carried(verdict), key, v.oldValue)
	case policy.DeleteIn:
		err = p.native.RelayDelete(ctx, p.carried(verdict), key)
	case policy.CopyOut, policy.DeleteOut:
		if !v.Exists && v.Native.Held {
			p.counters.drop(DropValue)
		}
		return p.writeOut(ctx, key, verdict, v)
	case policy.Withhold:
		p.counters.drop(DropValue)
		return nil
	default:
		return nil
	}
	var leased *p2psync.LeaseError
	switch {
	case errors.Is(err, p2psync.ErrNotFound):
		return nil
	case !errors.As(err, &leased):
		p.counters.crossedIn(life, err)
		return err
	}
	p.counters.drop(DropConflict)
	v = p.view(key)
	return p.apply(life, key, policy.NativeRefused(time.Now(), verdict.Do, v.Sides), v)
}

// carried returns on whose behalf something goes to the native side.
func (p *syncPortal) carried(v policy.Verdict) p2psync.Relayed {
	at := time.Unix(v.Time, 0)
	return p2psync.Relayed{Owner: p.network.origin(v.Owner), Time: at, Age: min(legacy.Lease, max(0, time.Since(at)))}
}

// entry returns a value as it is written on somebody's behalf in the old network.
func entry(v policy.Verdict, value any) legacy.Entry {
	return legacy.Entry{Value: value, Owner: v.Owner, OwnerText: v.Text, Time: v.Time}
}

// writeOut writes a key in the old network, or deletes it there, also under the IDs of its losing writers. If the key
// has changed there since the view, it is looked at again.
func (p *syncPortal) writeOut(ctx context.Context, key string, verdict policy.Verdict, v view) error {
	if err := p.old.AwaitRoom(ctx); err != nil {
		return err
	}
	e := entry(verdict, v.value)
	deletes := verdict.Do == policy.DeleteOut
	if deletes {
		e.Value = legacy.DeleteValue(p.network.version)
	}
	err := p.old.Mirror(key, v.entry, e)
	if errors.Is(err, legacy.ErrChanged) {
		p.queue.addAgain(key, cause{Native: true})
		return nil
	}
	if err != nil {
		p.counters.drop(compat.DropEncoding)
		return err
	}
	p.counters.out.Add(1)
	for _, l := range p.losers.Written(time.Now(), key, verdict.Owner, deletes) {
		e.Owner, e.OwnerText = l.ID, l.Text
		if err := p.old.Repeat(key, e); err != nil {
			return err
		}
	}
	return nil
}
