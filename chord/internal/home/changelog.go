package home

import "strings"

// Limits of the change log.
const (
	maxChanges     = 4096
	maxChangeBytes = 16 << 20 // of keys and values
)

// A ChangeLog holds the latest writes that were stored here, for readers that watch. A
// revision is the number of a write; it has a meaning within one run alone.
type ChangeLog struct {
	run     uint64
	entries []Entry
	bytes   int
	last    uint64 // revision of the latest
}

// NewChangeLog returns an empty log; run is a number that no earlier log had.
func NewChangeLog(run uint64) *ChangeLog { return &ChangeLog{run: run} }

// Add appends a write, and forgets the oldest ones beyond the limits.
func (l *ChangeLog) Add(e Entry) {
	l.entries = append(l.entries, e)
	l.last++
	for l.bytes += len(e.Key) + len(e.Value); len(l.entries) > maxChanges || l.bytes > maxChangeBytes; {
		l.bytes -= len(l.entries[0].Key) + len(l.entries[0].Value)
		l.entries[0] = Entry{}
		l.entries = l.entries[1:]
	}
}

// Changes are writes after a revision.
type Changes struct {
	Run      uint64
	Revision uint64 // of the last entry that was looked at
	Missed   bool   // some are not remembered any more
	Entries  []Entry
}

// Since returns the writes after a revision of keys with a prefix, at most a page. With
// the revision of another run there are none, only the revision to go on from.
func (l *ChangeLog) Since(run, revision uint64, prefix string) Changes {
	c := Changes{Run: l.run, Revision: l.last}
	first := l.last - uint64(len(l.entries))
	switch {
	case run != l.run: // from now on
		return c
	case revision < first || revision > l.last:
		c.Missed = true
		return c
	}
	bytes := 0
	for i, e := range l.entries[revision-first:] {
		if !strings.HasPrefix(e.Key, prefix) {
			continue
		}
		if bytes += len(e.Key) + len(e.Value); len(c.Entries) == MaxPage || len(c.Entries) > 0 && bytes > pageBytes {
			c.Revision = revision + uint64(i)
			break
		}
		c.Entries = append(c.Entries, e)
	}
	return c
}
