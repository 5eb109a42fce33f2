package legacy

import (
	"bytes"
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

const (
	MaxAsked = 2 // questions that a reader may have yet to answer

	idleTime  = 10 * time.Second // without a write, after which a reader has read all
	maxAtomic = 32 << 10         // bytes of a frame that arrive at once
	chunk     = 1024
	maxEnds   = 192 // that are remembered; frames of multiples of eight bytes have 128

	askFrames = 32 // after which the reader is asked
	askBytes  = 8 << 10
)

// A Pacer keeps a stream readable for py from 0.5 on, which reads 1024 bytes at a time. If a read ends exactly four
// bytes past a frame, py mistakes the next length prefix for a complete frame. Reads are counted from where py last
// began to read: after any frame that it has read before the next one came.
//
// Where a frame would end badly, a filler is written before it. Frames that are multiples of eight bytes long never
// end badly among each other.
type Pacer struct {
	version wire.Version
	id      string // of the writer
	least   int    // bytes of a frame that says nothing

	at   int         // bytes written, modulo 1024
	ends [chunk]bool // where the reader may have begun to read
	n    int         // ends that are set
	last time.Time   // something was written
}

// NewPacer makes a pacer for what a node writes to one other.
func NewPacer(v wire.Version, id string) *Pacer { return &Pacer{version: v, id: id} }

// Restart notes that the reader has read all that was written.
func (p *Pacer) Restart() {
	p.ends, p.n = [chunk]bool{}, 0
	p.end()
}

// end notes that the reader may begin to read here.
func (p *Pacer) end() {
	if !p.ends[p.at] {
		p.ends[p.at] = true
		p.n++
	}
}

// Filler returns the body of the frame that must be written before one of some size, or nil if none need be. It
// reports false if no filler helps; then the writer must wait for the reader.
func (p *Pacer) Filler(now time.Time, size int) (body []byte, ok bool) {
	if p.least == 0 {
		p.least = 4 + len(p.blank(now, 1, 0))
	}
	n, ok := p.filler(now, size, p.least)
	if n == 0 {
		return nil, ok
	}
	return p.fill(now, n), ok
}

// fill returns a filler of a size as it travels. In 0.5 the length of a message's ID depends on the content by a
// digit.
func (p *Pacer) fill(now time.Time, size int) (body []byte) {
	for with := range 256 {
		if body = p.blank(now, size-p.least+1, byte(with)); 4+len(body) == size {
			break
		}
	}
	return body
}

// filler returns the size of the filler that must precede a frame of some size, or 0 if none need. It is at least
// least, and less than 250 bytes more. It reports false if no filler helps.
func (p *Pacer) filler(now time.Time, size, least int) (filler int, ok bool) {
	if now.Sub(p.last) >= idleTime {
		p.Restart()
	}
	if MustWait(size) || p.fits(p.at+size) {
		return 0, true
	}
	for f := least; f < least+250; f++ {
		if !MustWait(f) && p.fits(p.at+f) && p.fits(p.at+f+size) {
			return f, true
		}
	}
	return 0, false
}

// Crowded reports whether the writer should wait for the reader, since the reader may begin at too many places.
func (p *Pacer) Crowded() bool { return p.n > maxEnds }

// MustWait reports whether the writer must wait for the reader after a frame of some size. Such a frame ends badly if
// it is read by itself, or arrives in parts.
func MustWait(size int) bool { return size > maxAtomic || (size+4)%chunk == 0 }

// fits reports whether a frame may end at a position, wherever the reader has begun to read.
func (p *Pacer) fits(end int) bool { return !p.ends[(end+4)%chunk] }

// Wrote notes that a frame was written.
func (p *Pacer) Wrote(now time.Time, size int) {
	p.at = (p.at + size) % chunk
	p.last = now
	p.end()
}

// blank returns a ping with some bytes in it, which no old node answers.
func (p *Pacer) blank(now time.Time, size int, with byte) []byte {
	return p.remark(now, wire.Ping, bytes.Repeat([]byte{with}, size), false)
}

// Question returns a request for the reader's peers.
func (p *Pacer) Question(now time.Time) []byte {
	return p.remark(now, wire.Request, []byte("*"), true)
}

// remark returns a whisper of this node with one packet. An aligned one is a multiple of eight bytes long.
func (p *Pacer) remark(now time.Time, sub wire.Flag, packet []byte, aligned bool) []byte {
	m := wire.New(p.version, wire.Whisper, sub, packet)
	m.Sender, m.Time, m.Aligned = p.id, now.Unix(), aligned
	body, err := wire.Encode(m)
	if err != nil {
		panic(err) // of bytes, which cannot fail
	}
	return body
}

// A Window bounds what is on its way to a reader, so that it arrives as it was written: a stream that waits for room
// is cut anywhere. The reader is asked for its peers, and answers when it has read what came before.
//
// A handshake is the first question, since the reader answers it with its peers, too.
type Window struct {
	frames, bytes int // since the reader was last asked
	asked         int
}

// Wrote notes that a frame was written, and reports whether the reader should be asked.
func (w *Window) Wrote(size int) bool {
	w.frames++
	w.bytes += size
	return w.frames >= askFrames || w.bytes >= askBytes
}

// Ask notes that the reader is asked.
func (w *Window) Ask() {
	w.frames, w.bytes = 0, 0
	w.asked++
}

// Answered notes an answer. Peers that the reader tells of its own accord count as one, too.
func (w *Window) Answered() { w.asked = max(0, w.asked-1) }

// GiveUp expects no more answers to what was asked.
func (w *Window) GiveUp() { w.asked = 0 }

// Asked returns how many questions the reader has yet to answer.
func (w *Window) Asked() int { return w.asked }

// Wants reports whether frames were written since the reader was last asked.
func (w *Window) Wants() bool { return w.frames > 0 }
