package mesh

import (
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/internal/dcbor"
)

// whisper is a message to one peer. The connection proves its author.
type whisper struct {
	_       struct{} `cbor:",toarray"`
	Boot    uint64
	Seq     uint64
	To      string // the ID of the message that it answers, or the origin of one that was relayed, or empty
	Time    int64  // the author's, Unix milliseconds
	Packets []byte // a CBOR array
}

// whisperAck says that the whisper with the number Seq has arrived, or that its
// receiver cannot take it, ever.
type whisperAck struct {
	_       struct{} `cbor:",toarray"`
	Seq     uint64
	Refused bool
}

var whisperDecoder = dcbor.Decoder(16, 4)

var errRefused = errors.New("the receiver cannot read it")

const (
	maxAck      = 64        // bytes of an acknowledgement's frame
	maxIDLength = MaxOrigin // bytes of what a whisper answers
)

// message decodes a whisper from a peer.
func (w *whisper) message(from peer.ID) (Message, error) {
	if len(w.To) > maxIDLength {
		return Message{}, fmt.Errorf("message ID of %d bytes", len(w.To))
	}
	r, packets, err := decodePackets(w.Packets)
	if err != nil {
		return Message{}, err
	}
	msg := Message{
		ID: messageID(Whisper, from, w.Boot, w.Seq), Kind: Whisper, From: from, To: w.To,
		Time: time.UnixMilli(w.Time), Packets: packets, Origin: r.Origin, OriginID: r.ID, size: len(w.Packets),
	}
	if w.To != "" {
		msg.Kind = Reply
	}
	return msg, nil
}
