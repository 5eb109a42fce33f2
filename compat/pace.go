package compat

// CORE: where frames may end.

import "time"

const (
	forgotten = 10 * time.Second // a reader has long since read on from there
	maxAtomic = 32 << 10         // bytes of a frame that arrive at once
	chunk     = 1024
)

// A pace keeps a stream readable for py from 0.5 on. It reads 1024 bytes at a time, and
// takes the length of a frame for a whole one if it is all that it has got behind another:
// if 1024 bytes end four bytes behind a frame, counted from where it last began to read,
// which is behind any frame that it has read to the end before the next came. Where a
// frame would end badly, another is written before it that says nothing. Frames that are
// multiples of eight bytes long never end badly among each other.
type pace struct {
	at   int // bytes written, modulo 1024
	ends [chunk]time.Time
}

// restart notes that the reader has had all that was written.
func (p *pace) restart(now time.Time) {
	*p = pace{at: p.at}
	p.ends[p.at] = now
}

// filler is how long a frame must be that is written before one of some size, at least
// some and less than 250 bytes more; 0 if there need not be any. It is false if none would
// help: then the reader has to be waited for.
func (p *pace) filler(now time.Time, size, least int) (filler int, ok bool) {
	if alone(size) || p.fits(now, p.at+size) {
		return 0, true
	}
	for f := least; f < least+250; f++ {
		if !alone(f) && p.fits(now, p.at+f) && p.fits(now, p.at+f+size) {
			return f, true
		}
	}
	return 0, false
}

// alone tells whether the reader has to be waited for behind a frame of some size: it ends
// badly when it is read by itself, or arrives in parts, between which all may have been read.
func alone(size int) bool { return size > maxAtomic || (size+4)%chunk == 0 }

// fits tells whether a frame may end at a place, wherever the reader has begun to read.
func (p *pace) fits(now time.Time, end int) bool {
	return now.Sub(p.ends[(end+4)%chunk]) >= forgotten
}

// wrote notes that a frame was written.
func (p *pace) wrote(now time.Time, size int) {
	p.at = (p.at + size) % chunk
	p.ends[p.at] = now
}
