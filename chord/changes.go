package chord

import "strings"

// An entry is a key with its version, and its value if that was asked for.
type entry struct {
	key   string
	write write
	value string
}

// Limits of the change log.
const (
	maxChanges     = 4096
	maxChangeBytes = 16 << 20 // of keys and values
)

// Limits of one page of entries.
const (
	maxPage   = 256
	pageBytes = 512 << 10 // of keys and values, unless one entry is larger
)

// A changeLog holds the latest writes that were stored here, for readers that watch. A
// revision is the number of a write; it has a meaning within one run alone.
type changeLog struct {
	run     uint64
	entries []entry
	bytes   int
	last    uint64 // revision of the latest
}

// newChangeLog returns an empty log; run is a number that no earlier log had.
func newChangeLog(run uint64) *changeLog { return &changeLog{run: run} }

func (l *changeLog) add(key string, w write, value string) {
	l.entries = append(l.entries, entry{key, w, value})
	l.last++
	for l.bytes += len(key) + len(value); len(l.entries) > maxChanges || l.bytes > maxChangeBytes; {
		l.bytes -= len(l.entries[0].key) + len(l.entries[0].value)
		l.entries[0] = entry{}
		l.entries = l.entries[1:]
	}
}

// changes are the writes after a revision.
type changes struct {
	run      uint64
	revision uint64 // of the last entry that was looked at
	missed   bool   // some are not remembered any more
	entries  []entry
}

// since returns the writes after a revision of keys with a prefix, at most a page. With
// the revision of another run there are none, only the revision to go on from.
func (l *changeLog) since(run, revision uint64, prefix string) changes {
	c := changes{run: l.run, revision: l.last}
	first := l.last - uint64(len(l.entries))
	switch {
	case run != l.run: // from now on
		return c
	case revision < first || revision > l.last:
		c.missed = true
		return c
	}
	bytes := 0
	for i, e := range l.entries[revision-first:] {
		if !strings.HasPrefix(e.key, prefix) {
			continue
		}
		if bytes += len(e.key) + len(e.value); len(c.entries) == maxPage || len(c.entries) > 0 && bytes > pageBytes {
			c.revision = revision + uint64(i)
			break
		}
		c.entries = append(c.entries, e)
	}
	return c
}
