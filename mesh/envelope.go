package mesh

// CORE: the bytes of a batch. They are written by hand, since there is one batch to
// each small message in the worst case, and are those of the CBOR library.

import "github.com/p2p-today/go2p/internal/dcbor"

// A batch is the data of one pubsub message: messages of one author with consecutive
// numbers under one signature.
//
//	[body: bytes, signature: bytes]
//	body = [author, boot, seq, [[time, packets: bytes], …]]
type batch struct {
	Author   []byte
	Boot     uint64
	Seq      uint64 // of the first message
	Messages []batchMessage

	body, sig []byte // of one that was scanned
}

type batchMessage struct {
	Time    int64  // the author's, Unix milliseconds
	Packets []byte // a CBOR array
}

const (
	maxBatch      = 256 // messages in a batch
	batchOverhead = 512 // bytes that a batch takes at most beside its messages
	entryOverhead = 16  // bytes that a message takes at most beside its packets
)

// size is what appendBody needs at most.
func (b *batch) size() int {
	n := batchOverhead
	for i := range b.Messages {
		n += entryOverhead + len(b.Messages[i].Packets)
	}
	return n
}

func (b *batch) appendBody(dst []byte) []byte {
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

// appendBatch puts a body and its signature together.
func appendBatch(dst, body, sig []byte) []byte {
	return dcbor.AppendBytes(dcbor.AppendBytes(dcbor.AppendArray(dst, 2), body), sig)
}

// scanBatch reads a batch, whose slices alias data.
func scanBatch(data []byte) (b batch, err error) {
	s := dcbor.Scan(data)
	s.Tuple(2)
	b.body, b.sig = s.Bytes(), s.Bytes()
	if err := s.End(); err != nil {
		return b, err
	}
	s = dcbor.Scan(b.body)
	s.Tuple(4)
	b.Author, b.Boot, b.Seq = s.Bytes(), s.Uint(), s.Uint()
	if n := s.Array(maxBatch); n > 0 {
		b.Messages = make([]batchMessage, n)
	}
	for i := range b.Messages {
		s.Tuple(2)
		b.Messages[i] = batchMessage{s.Int(), s.Bytes()}
	}
	return b, s.End()
}
