package compat

// CORE: where frames may end, and how many may be under way.

import "time"

const (
	idleTime  = 10 * time.Second // after which a reader has read all that there was
	maxAtomic = 32 << 10         // bytes of a frame that arrive at once
	chunk     = 1024
	maxEnds   = 192 // remembered; of frames that are multiples of eight bytes there are 128

	askFrames = 32 // after which the other is asked to say something
	askBytes  = 8 << 10
	maxAsked  = 2 // times that it is asked and has not yet answered
)

// A pace keeps a stream readable for py from 0.5 on. It reads 1024 bytes at a time, and
// takes the length of a frame for a whole one if it is all that it has got behind another:
// if 1024 bytes end four bytes behind a frame, counted from where it last began to read,
// which is behind any frame that it has read to the end before the next came. Where a
// frame would end badly, another is written before it that says nothing. Frames that are
// multiples of eight bytes long never end badly among each other.
type pace struct {
	at   int         // bytes written, modulo 1024
	ends [chunk]bool // where it may have begun to read
	n    int         // of them
	last time.Time   // something was written
}

// restart notes that the reader has had all that was written.
func (p *pace) restart() {
	*p = pace{at: p.at, last: p.last}
	p.end()
}

func (p *pace) end() {
	if !p.ends[p.at] {
		p.ends[p.at] = true
		p.n++
	}
}

// filler is how long a frame must be that is written before one of some size, at least
// some and less than 250 bytes more; 0 if there need not be any. It is false if none would
// help: then the reader has to be waited for.
func (p *pace) filler(now time.Time, size, least int) (filler int, ok bool) {
	if now.Sub(p.last) >= idleTime {
		p.restart()
	}
	if alone(size) || p.fits(p.at+size) {
		return 0, true
	}
	for f := least; f < least+250; f++ {
		if !alone(f) && p.fits(p.at+f) && p.fits(p.at+f+size) {
			return f, true
		}
	}
	return 0, false
}

// crowded tells whether there are so many places where it may have begun to read that it
// is better to wait until it has read all.
func (p *pace) crowded() bool { return p.n > maxEnds }

// alone tells whether the reader has to be waited for behind a frame of some size: it ends
// badly when it is read by itself, or arrives in parts, between which all may have been read.
func alone(size int) bool { return size > maxAtomic || (size+4)%chunk == 0 }

// fits tells whether a frame may end at a place, wherever the reader has begun to read.
func (p *pace) fits(end int) bool { return !p.ends[(end+4)%chunk] }

// wrote notes that a frame was written.
func (p *pace) wrote(now time.Time, size int) {
	p.at = (p.at + size) % chunk
	p.last = now
	p.end()
}

// A flow keeps what is on its way to a reader so small that it arrives as it was written: a
// stream that waits for room is cut anywhere. The reader is asked for its peers, which it
// answers when it has read what came before. So it does with a handshake: that is the first
// question, or its answer would be taken for that of another which is not read yet.
type flow struct {
	frames, bytes int // since it was last asked
	asked         int
}

// wrote notes that a frame was written, and tells whether to ask.
func (f *flow) wrote(size int) bool {
	f.frames++
	f.bytes += size
	return f.frames >= askFrames || f.bytes >= askBytes
}

// ask notes that it is asked.
func (f *flow) ask() {
	f.frames, f.bytes = 0, 0
	f.asked++
}

// answered notes an answer. What nobody asked for may be taken for one.
func (f *flow) answered() { f.asked = max(0, f.asked-1) }
