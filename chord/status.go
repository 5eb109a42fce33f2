package chord

// A Status is a snapshot of this peer's part in the table.
type Status struct {
	K           int
	Stores      bool
	Slot        uint64 // if the peer stores
	Keys        int    // stored here
	Bytes       int64  // of MaxBytes that are used
	MaxBytes    int64
	Known       int   // peers that store, or did
	Upkept      int   // peers on the ring that this peer keeps track of, if it stores
	Backfilling bool  // the peer lacks keys that it is a replica of
	Refused     error // a *RefusedError if all neighbours have another K
	Failed      error // why nothing is stored any more

	Questions uint64 // of other peers
	Repairs   uint64 // replicas to which reads of this peer have given a newer version
}

// A Node is a peer that stores.
type Node struct {
	Peer        string // peer ID
	Slot        uint64
	Self        bool
	Keys        int      // stored there
	Backfilling bool     // the peer lacks keys that it is a replica of
	Share       float64  // of the circle that the peer owns, from 0 to 1
	Successors  []string // peer IDs, nearest first, as the peer lists them
}

// A Ring is the peers that store, in the order of their slots.
type Ring struct {
	K       int
	Nodes   []Node
	Fingers []Finger // of this peer, if it stores
}

// A Finger is the node that a peer knows nearest at or after the slot 2^X steps from its own.
type Finger struct {
	X    int
	Goal uint64
	Slot uint64
	Peer string
}
