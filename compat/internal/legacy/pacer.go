package legacy

import (
	"bytes"
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

const (
	MaxAsked = 2 // questions that a reader has not yet answered

	idleTime  = 10 * time.Second // after which a reader has read all that there was
	maxAtomic = 32 << 10         // bytes of a frame that arrive at once
	chunk     = 1024
	maxEnds   = 192 // remembered; of frames that are multiples of eight bytes there are 128

	askFrames = 32 // after which the other is asked to say something
	askBytes  = 8 << 10
)

// A Pacer keeps a stream readable for py from 0.5 on. It reads 1024 bytes at a time, and
// takes the length of a frame for a whole one if it is all that it has got behind another:
// if 1024 bytes end four bytes behind a frame, counted from where it last began to read,
// which is behind any frame that it has read to the end before the next came. Where a
// frame would end badly, another is written before it that says nothing. Frames that are
// multiples of eight bytes long never end badly among each other.
type Pacer struct {
	version wire.Version
	id      string // of the writer
	least   int    // bytes of a frame that says nothing

	at   int         // bytes written, modulo 1024
	ends [chunk]bool // where it may have begun to read
	n    int         // of them
	last time.Time   // something was written
}

// NewPacer makes a pacer for what a node writes.
func NewPacer(v wire.Version, id string) *Pacer { return &Pacer{version: v, id: id} }

// Restart notes that the reader has had all that was written.
func (p *Pacer) Restart() {
	p.ends, p.n = [chunk]bool{}, 0
	p.end()
}

func (p *Pacer) end() {
	if !p.ends[p.at] {
		p.ends[p.at] = true
		p.n++
	}
}

// Filler returns the body of a frame that must be written before one of some size, or nil. It is false if none would
// help: then the reader must be waited for.
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

// fill is a message that says nothing, of a size as it travels. In 0.5 the ID of a message has a digit more or less,
// depending on what it says.
func (p *Pacer) fill(now time.Time, size int) (body []byte) {
	for with := range 256 {
		if body = p.blank(now, size-p.least+1, byte(with)); 4+len(body) == size {
			break
		}
	}
	return body
}

// filler is how long a frame must be that is written before one of some size, at least
// some and less than 250 bytes more; 0 if there need not be any. It is false if none would
// help: then the reader has to be waited for.
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

// Crowded tells whether there are so many places where it may have begun to read that it
// is better to wait until it has read all.
func (p *Pacer) Crowded() bool { return p.n > maxEnds }

// MustWait tells whether the reader has to be waited for behind a frame of some size: it ends
// badly when it is read by itself, or arrives in parts, between which all may have been read.
func MustWait(size int) bool { return size > maxAtomic || (size+4)%chunk == 0 }

// fits tells whether a frame may end at a place, wherever the reader has begun to read.
func (p *Pacer) fits(end int) bool { return !p.ends[(end+4)%chunk] }

// Wrote notes that a frame was written.
func (p *Pacer) Wrote(now time.Time, size int) {
	p.at = (p.at + size) % chunk
	p.last = now
	p.end()
}

// blank is a message that says nothing, with some bytes too many: a ping, which no old node answers.
func (p *Pacer) blank(now time.Time, size int, with byte) []byte {
	return p.remark(now, wire.Ping, bytes.Repeat([]byte{with}, size), false)
}

// Question returns a request for the reader's peers.
func (p *Pacer) Question(now time.Time) []byte {
	return p.remark(now, wire.Request, []byte("*"), true)
}

// remark is a message to one node, of a size that fits among others if it is aligned.
func (p *Pacer) remark(now time.Time, sub wire.Flag, packet []byte, aligned bool) []byte {
	m := wire.New(p.version, wire.Whisper, sub, packet)
	m.Sender, m.Time, m.Aligned = p.id, now.Unix(), aligned
	body, err := wire.Encode(m)
	if err != nil {
		panic(err) // of bytes, which cannot fail
	}
	return body
}

// A Window keeps what is on its way to a reader so small that it arrives as it was written: a
// stream that waits for room is cut anywhere. The reader is asked for its peers, which it
// answers when it has read what came before. So it does with a handshake: that is the first
// question, or its answer would be taken for that of another which is not read yet.
type Window struct {
	frames, bytes int // since the reader was last asked
	asked         int
}

// Wrote notes that a frame was written, and reports whether to ask.
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

// Answered notes an answer. What nobody asked for may be taken for one.
func (w *Window) Answered() { w.asked = max(0, w.asked-1) }

// GiveUp notes that no more answers are expected.
func (w *Window) GiveUp() { w.asked = 0 }

// Asked returns how many questions the reader has not answered.
func (w *Window) Asked() int { return w.asked }

// Wants reports whether frames were written since the reader was last asked.
func (w *Window) Wants() bool { return w.frames > 0 }
