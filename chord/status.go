package chord

// A Status is a snapshot of this peer's part in the table.
type Status struct {
	K           int
	Stores      bool
	Slot        uint64 // if it stores
	Keys        int    // stored here
	Bytes       int64
	MaxBytes    int64
	Known       int   // peers that store, or did
	Upkept      int   // peers that it keeps track of, if it stores
	Backfilling bool  // it has not got all that it is a home for
	Refused     error // a *RefusedError if all neighbours have another k
	Failed      error // why nothing is stored any more

	Questions uint64 // of other peers
	Repairs   uint64 // homes that reads of this peer have given what they lacked
}

// A Node is a peer that stores.
type Node struct {
	Peer        string
	Slot        uint64
	Self        bool
	Keys        int  // stored there
	Backfilling bool // it has not got all that it is a home for
	Share       float64
	Successors  []string // the peers that it knows to follow it
}

// A Ring is who stores, in the order of the slots.
type Ring struct {
	K       int
	Nodes   []Node
	Fingers []Finger // of this peer, if it stores
}

// A Finger is whom a peer knows at or after the slot 2^X steps from its own.
type Finger struct {
	X    int
	Goal uint64
	Slot uint64
	Peer string
}
