// Package chord is the k-bounded table: a dictionary spread over at most 2^k storing
// peers, five of which keep each key, and any key of which is at most k hops away, and
// mostly one. Up to two of a key's five homes may die at once without its being lost or
// out of reach.
//
// A peer that has opened the table reads and writes; with [Table.Join] it stores, too:
//
//	t, err := chord.Open(ctx, m, nil)
//	err = t.Join(ctx)
//	err = t.Set(ctx, "color", "blue")
//	v, err := t.Get(ctx, "color")
//
// What decides is in cores, which do nothing else:
//
//	id.go         the circle of 2^k slots, and where keys and peers belong on it
//	lookup.go     fingers and hints, and the next hop
//	ring.go       who follows whom: joining, upkeep, failures, leaving, merging
//	placement.go  the five homes of a key
//	store.go      which version stands
//	wire.go       the bytes of questions and answers
package chord
