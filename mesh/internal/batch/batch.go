// Package batch encodes signed batches of messages. The bytes are those of the CBOR
// library; they are written by hand, since in the worst case each small message has a
// batch of its own.
package batch

import "github.com/p2p-today/go2p/internal/dcbor"

// A Batch is the data of one pubsub message: messages of one author with consecutive
// numbers under one signature.
//
//	[body: bytes, signature: bytes]
//	body = [author, boot, seq, [[time, packets: bytes], …]]
type Batch struct {
	Author   []byte
	Boot     uint64
	Seq      uint64 // of the first message
	Messages []Message

	Body, Sig []byte // of one that was scanned
}

type Message struct {
	Time    int64  // the author's, Unix milliseconds
	Packets []byte // a CBOR array
}

const (
	MaxMessages   = 256 // messages in a batch
	overhead      = 512 // bytes that a batch takes at most beside its messages
	EntryOverhead = 16  // bytes that a message takes at most beside its packets
)

// Size is what appendBody needs at most.
func (b *Batch) Size() int {
	n := overhead
	for i := range b.Messages {
		n += EntryOverhead + len(b.Messages[i].Packets)
	}
	return n
}

func (b *Batch) AppendBody(dst []byte) []byte {
	dst = dcbor.AppendArray(dst, 4)
	dst = dcbor.AppendBytes(dst, b.Author)
	dst = dcbor.AppendUint(dst, b.Boot)
	dst = dcbor.AppendUint(dst, b.Seq)
	dst = dcbor.AppendArray(dst, len(b.Messages))
	for i := range b.Messages {
		dst = dcbor.AppendArray(dst, 2)
		dst = dcbor.AppendInt(dst, b.Messages[i].Time)
		dst = dcbor.AppendBytes(dst, b.Messages[i].Packets)
	}
	return dst
}

// Append puts a body and its signature together.
func Append(dst, body, sig []byte) []byte {
	return dcbor.AppendBytes(dcbor.AppendBytes(dcbor.AppendArray(dst, 2), body), sig)
}

// Scan reads a batch, whose slices alias data.
func Scan(data []byte) (b Batch, err error) {
	s := dcbor.Scan(data)
	s.Tuple(2)
	b.Body, b.Sig = s.Bytes(), s.Bytes()
	if err := s.End(); err != nil {
		return b, err
	}
	s = dcbor.Scan(b.Body)
	s.Tuple(4)
	b.Author, b.Boot, b.Seq = s.Bytes(), s.Uint(), s.Uint()
	if n := s.Array(MaxMessages); n > 0 {
		b.Messages = make([]Message, n)
	}
	for i := range b.Messages {
		s.Tuple(2)
		b.Messages[i] = Message{s.Int(), s.Bytes()}
	}
	return b, s.End()
}
