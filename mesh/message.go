package mesh

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/internal/value"
)

// A Kind says how a message travelled.
type Kind string

// The kinds of messages.
const (
	Broadcast Kind = "broadcast" // to every member
	Whisper   Kind = "whisper"   // to this peer alone
	Reply     Kind = "reply"     // to this peer alone, answering a message
)

// A Message is what a handler or an iterator gets. It is a value; its packets
// are shared by all who get it and must not be changed.
type Message struct {
	ID      string    // the same at every peer; 24 hex digits
	Kind    Kind      //
	From    peer.ID   // the author, proven by signature (Broadcast) or connection
	To      string    // Reply: the ID of the message that it answers
	Time    time.Time // the author's clock, shown and never judged by
	Packets []any     // values of the data model

	Origin   string // the sender in another network, if From has relayed the message from there; empty if From is the author
	OriginID string // the ID of the message there

	size      int // bytes of the packets
	boot, seq uint64
}

// A TypeError says that a packet is no value of the data model.
type TypeError = value.TypeError

// messageID names a message for users. Whispers and broadcasts are numbered
// apart, so the kind is part of it.
func messageID(kind Kind, author peer.ID, boot, seq uint64) string {
	var room [96]byte
	b := append(append(room[:0], kind...), 0)
	b = append(b, author...)
	b = binary.BigEndian.AppendUint64(b, boot)
	b = binary.BigEndian.AppendUint64(b, seq)
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:12])
}
