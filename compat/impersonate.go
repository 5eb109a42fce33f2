package compat

import (
	"context"
	"time"

	"github.com/p2p-today/go2p/compat/internal/legacy"
)

// An Impersonator speaks in an old network on behalf of others, for a bridge. Values are as they travel. Its methods
// may be called concurrently.
type Impersonator struct{ n *MeshNode }

// Impersonator returns what speaks on behalf of others through this node.
func (n *MeshNode) Impersonator() Impersonator { return Impersonator{n} }

// Broadcast sends packets to all nodes on behalf of a sender, and reports whether they are news. A tag tells messages
// apart that say the same within a second. Errors: those of encoding, ErrClosed.
func (i Impersonator) Broadcast(sender string, at int64, tag string, packets []any) (news bool, err error) {
	err = i.n.engine.do(func(now time.Time) (out legacy.Effects, err error) {
		out, news, err = i.n.engine.core.BroadcastAs(now, sender, at, tag, packets)
		return out, err
	})
	return news, err
}

// Whisper sends packets to one node on behalf of a sender. Errors: those of MeshNode.Whisper.
func (i Impersonator) Whisper(sender, to string, packets []any) error {
	return i.n.engine.do(func(now time.Time) (legacy.Effects, error) {
		return i.n.engine.core.WhisperAs(now, sender, to, packets)
	})
}

// Announce tells other bridges that this one is there. Error: ErrClosed.
func (i Impersonator) Announce(p Presence) error {
	return i.n.engine.do(func(now time.Time) (legacy.Effects, error) { return i.n.engine.core.Announce(now, p), nil })
}

// AwaitRoom waits until all nodes have read so much that there is room for more. Errors: ErrClosed, the context's.
func (i Impersonator) AwaitRoom(ctx context.Context) error { return i.n.awaitRoom(ctx) }

// Dial connects to an address as MeshNode.Connect does, but does not dial it again.
func (i Impersonator) Dial(ctx context.Context, addr string) error {
	_, err := i.n.dialer.dial(ctx, addr)
	return err
}

// A SyncImpersonator also writes keys of the dictionary on behalf of others.
type SyncImpersonator struct {
	Impersonator
	dict *legacy.SyncMap
}

// Impersonator returns what speaks and writes on behalf of others through this node.
func (n *SyncNode) Impersonator() SyncImpersonator {
	return SyncImpersonator{Impersonator: n.MeshNode.Impersonator(), dict: n.dict}
}

// Look returns what this node holds under a key, and whether old nodes would accept a write of an owner.
func (i SyncImpersonator) Look(key, owner string, at int64) (e legacy.Entry, held, accepts bool) {
	i.n.engine.read(func() {
		e, held = i.dict.Entry(key)
		accepts = i.dict.WouldAccept(time.Now(), key, owner, at)
	})
	return e, held, accepts
}

// Mirror writes an entry at this node, for which it is no news, and at others on behalf of its owner. Errors:
// legacy.ErrChanged if the key has been written since it was as it was, those of encoding, ErrClosed.
func (i SyncImpersonator) Mirror(key string, was, e legacy.Entry) error {
	return i.n.engine.do(func(now time.Time) (legacy.Effects, error) { return i.dict.Mirror(now, key, was, e) })
}

// Overwrite does what Mirror does, whatever the key holds.
func (i SyncImpersonator) Overwrite(key string, e legacy.Entry) error {
	return i.n.engine.do(func(now time.Time) (legacy.Effects, error) { return i.dict.Overwrite(now, key, e) })
}

// Repeat writes an entry at other nodes only, on behalf of its owner.
func (i SyncImpersonator) Repeat(key string, e legacy.Entry) error {
	return i.n.engine.do(func(now time.Time) (legacy.Effects, error) { return i.dict.Repeat(now, key, e) })
}

// GhostKeys returns the keys that came over a bridge, in no order.
func (i SyncImpersonator) GhostKeys() (keys []string) {
	i.n.engine.read(func() { keys = i.dict.GhostKeys() })
	return keys
}

// Announced reports whether a node has announced a key of the table. A lookup of a key that is not there takes long.
func (n *ChordNode) Announced(key string) (told bool) {
	n.engine.read(func() { told = n.table.Announced(key) })
	return told
}
