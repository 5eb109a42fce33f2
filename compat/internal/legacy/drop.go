package legacy

// A Drop is why something was not passed on, or not taken.
type Drop uint8

// The reasons of a node.
const (
	DropEarly Drop = iota + 1
	DropExpired
	DropForm
	DropDelete
	DropDelta
	DropSize
	DropEncoding
	DropFull
	DropNoWay
	DropDial
	DropOften
	DropConflict
)

// The reasons of a bridge, beside those of a node.
const (
	DropValue Drop = DropConflict + 1 + iota
	DropOldOnes
	DropAuthors
	DropNative
	DropLater
	DropReceiver
)

// drops are the reasons as users see them.
var drops = [...]string{
	DropEarly:    "came before a handshake",
	DropExpired:  "older than a minute, or from the future",
	DropForm:     "wrong form",
	DropDelete:   "a delete that its receiver would not survive",
	DropDelta:    "a delta that its receiver would not survive",
	DropSize:     "larger than a WebSocket takes",
	DropEncoding: "cannot be encoded for its receiver",
	DropFull:     "no room",
	DropNoWay:    "nobody knew where its receiver is",
	DropDial:     "too many to dial",
	DropOften:    "the same under one name, more often than its receivers can tell apart",
	DropConflict: "a key that somebody else has leased",
	DropValue:    "a value that this version has not, or that would delete",
	DropOldOnes:  "an author that is too long, or a message that a native peer cannot have",
	DropAuthors:  "replies to more than 16 authors at once",
	DropNative:   "the native side has refused it",
	DropLater:    "a key of a table that could not be read or written just then, and is tried again",
	DropReceiver: "nobody to deliver it to",
}

// String returns the reason as users see it. It is empty for zero, which is no reason.
func (d Drop) String() string { return drops[d] }

// Drops counts what was dropped, by reason.
type Drops [len(drops)]uint64

// Map returns the counts that are not zero.
func (d *Drops) Map() map[Drop]uint64 {
	counts := map[Drop]uint64{}
	for why, n := range d {
		if n > 0 {
			counts[Drop(why)] = n
		}
	}
	return counts
}
