// Package chord is a distributed hash table: a dictionary that is spread over at most 2^k
// peers of a mesh. Five peers store each key. Any key is at most k hops away, mostly one.
// Any two of a key's five replicas may fail at once, and the key is neither lost nor out of
// reach.
//
// A peer that has opened the table reads and writes. After [Table.Join] it stores, too:
//
//	t, err := chord.Open(ctx, m, nil)
//	err = t.Join(ctx)
//	err = t.Set(ctx, "color", "blue")
//	v, err := t.Get(ctx, "color")
//
// A write has succeeded when a majority of the replicas has it. A read returns the newest
// version that a majority knows of. Delete, Pop and ApplyDelta, which depend on what was
// there, have a majority promise first to take no older write.
//
// An error that wraps ErrNoMajority says that too few replicas have answered in time. A
// write that ended so may have happened or not. The context of a call bounds the call; an
// operation without a deadline takes at most 10 s.
//
// All decisions are made in cores, packages that touch no network, disk, clock or lock:
//
//	internal/ring      the circle, lookups, and who follows whom
//	internal/schedule  when to stabilize, backfill and hand off
//	internal/home      which version of a key stands
//	internal/quorum    what the votes of the replicas amount to
//	internal/wire      the bytes of questions and replies
package chord
