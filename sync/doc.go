// Package sync is a dictionary that every member of a network holds whole, in which a
// key belongs to its writer for a lease.
//
// [Open] adds it to a mesh. Reads are local: [Dict.Get], [Dict.All], [Dict.Watch]. A write
// ([Dict.Set], [Dict.Update], [Dict.Delete] and others) is decided here, made durable if
// the dictionary has a directory, and sent to the other members; [Acks] has it wait until
// others have it. Values are those of the data model: nil, bool, int64, uint64, float64,
// string, []byte, []any and map[string]any; [Typed] is a view of them as a Go type.
//
// Whoever writes a key owns it for the lease, one hour unless the network has another,
// and each write of the owner renews it. Meanwhile others get a [LeaseError], which says
// who and for how long. A delete gives the lease up. Each change of owner raises the term,
// a number that what a key guards can use to refuse former owners.
//
// All replicas that can reach each other become equal, whatever was lost on the way and
// however long they were apart: what was written in knowledge of another value is higher
// than that, and of values written without knowledge of each other the higher term stays,
// then the lower owner, then the later one. No clock is in it. What was deleted stays
// deleted; nothing is kept of it.
//
// What is promised and what is not stands in docs/guarantees.md. In short: a lease is no
// lock while the network is in two parts, since each of them lets it run out; and a member
// that cheats can take keys away, with its signature under it.
//
// The package shadows the standard library's name: import it as
//
//	import p2psync "github.com/p2p-today/go2p/sync"
package sync
