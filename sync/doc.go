// Package sync is a dictionary that every member of a network holds as a whole. A key
// belongs to its writer for a lease.
//
// [Open] adds the dictionary to a mesh. Reads are local: [Dict.Get], [Dict.All], [Dict.Watch].
// A write ([Dict.Set], [Dict.Update], [Dict.Delete] and others) is decided locally, made
// durable if the dictionary has a directory, and sent to the other members. With [Acks], a
// write waits until others have it. Values are those of the data model: nil, bool, int64,
// uint64, float64, string, []byte, []any and map[string]any. [Typed] is a view of them as a
// Go type.
//
// The writer of a key owns it for the lease, one hour by default, and each write of the owner
// renews the lease. Until it ends, writes of other peers fail with a [LeaseError]. A delete
// gives the lease up. Each change of the owner raises the term of the key, a number that a
// resource can use to refuse former owners.
//
// All replicas that can reach each other become equal, however long they were apart and
// whatever was lost. A write that was made in knowledge of another value replaces it. Of
// values that were written without knowledge of each other, the higher term stays, then the
// lower owner, then the later write. No clock is involved. What was deleted stays deleted,
// and nothing of it is kept.
//
// docs/guarantees.md says what is promised and what is not. In short: while the network is in
// two parts, each part lets leases run out, so a lease is no lock then; and a member that
// cheats can take keys away, under its own signature.
//
// The package shadows the standard library's name: import it as
//
//	import p2psync "github.com/p2p-today/go2p/sync"
package sync
