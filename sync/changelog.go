package sync

import (
	mathrand "math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/p2p-today/go2p/internal/notify"
	"github.com/p2p-today/go2p/sync/internal/replica"
)

// A Revision is a point in the changes of one replica in one run, from which Watch goes on.
// "" is before all changes.
type Revision string

// Limits of the changes that are remembered.
const (
	maxLogged      = 8192
	maxLoggedBytes = 16 << 20
)

// A changeLog has the last changes of a replica. The lock of the commit pipeline guards
// it; the number of the run does not change.
type changeLog struct {
	run     uint64
	changes []loggedChange // from cut on
	cut     int
	bytes   int
	lost    uint64 // revision of the last change that is remembered no more
	last    uint64 // revision of the last change
	more    notify.Broadcast
}

// A loggedChange is a change and when it was heard of.
type loggedChange struct {
	replica.Change
	time time.Time
}

func newChangeLog() changeLog { return changeLog{run: mathrand.Uint64()} }

func (l *changeLog) add(now time.Time, changes []replica.Change) {
	for _, c := range changes {
		l.changes = append(l.changes, loggedChange{c, now})
		l.bytes += c.Bytes()
		l.last = c.Revision
	}
	for len(l.changes)-l.cut > maxLogged || l.bytes > maxLoggedBytes {
		l.bytes -= l.changes[l.cut].Bytes()
		l.lost = l.changes[l.cut].Revision
		l.changes[l.cut] = loggedChange{}
		l.cut++
	}
	if l.cut > maxLogged { // seldom
		l.changes = slices.Delete(l.changes, 0, l.cut)
		l.cut = 0
	}
	l.more.Notify()
}

// since returns the changes after a revision. It reports false if some are forgotten.
func (l *changeLog) since(n uint64) ([]loggedChange, bool) {
	if n < l.lost || n > l.last {
		return nil, false
	}
	return l.changes[len(l.changes)-int(l.last-n):], true
}

func (l *changeLog) revision(n uint64) Revision {
	return Revision(strconv.FormatUint(l.run, 36) + "-" + strconv.FormatUint(n, 10))
}

// parse decodes a revision of this run. It reports false for a revision of another run.
func (l *changeLog) parse(r Revision) (n uint64, ok bool) {
	run, number, _ := strings.Cut(string(r), "-")
	n, err := strconv.ParseUint(number, 10, 64)
	return n, err == nil && run == strconv.FormatUint(l.run, 36)
}
