package compat

// CORE: when the next frame has to wait for the last.

import "time"

const (
	forgotten = 2 * time.Second // a reader has long since read on from there
	maxAtomic = 32 << 10        // bytes of a frame that arrive at once
)

// A pace finds where py from 0.5 on would lose the stream. It reads 1024 bytes at a time,
// and takes the length of a frame for a whole one if it is all that it has got behind
// another: if 1024 bytes end four bytes behind a frame, counted from where it last began to
// read, which is behind any other frame that it has read by itself. Frames that are
// multiples of eight bytes long never get there.
type pace struct {
	at   int // bytes written, modulo 1024
	ends [1024]time.Time
}

// risky notes that a frame was written, and tells whether the next has to wait until the
// reader has had it all.
func (p *pace) risky(now time.Time, size int) bool {
	if p.ends[p.at].IsZero() {
		p.ends[p.at] = now // where the stream begins
	}
	p.at = (p.at + size) % len(p.ends)
	risky := now.Sub(p.ends[(p.at+4)%len(p.ends)]) < forgotten || size > maxAtomic
	if risky {
		*p = pace{at: p.at}
	}
	p.ends[p.at] = now
	return risky
}
