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
// What decides is in cores, packages that touch nothing: internal/ring (the circle, lookups,
// who follows whom), internal/home (which version of a key stands) and internal/wire (the
// bytes of questions and replies).
package chord
