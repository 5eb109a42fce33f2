package sync

import (
	"crypto/rand"
	"encoding/binary"
	"time"

	"github.com/p2p-today/go2p/sync/internal/replica"
)

// The pause between two new names, which doubles: a member that cheats could cause them.
const (
	firstClash = 10 * time.Second
	lastClash  = time.Hour
)

// An identity is under which name this peer writes: its ID, and an incarnation that must
// be used by no other copy of it. The lock of the commit pipeline guards it.
type identity struct {
	confirmed bool          // nobody else can have the name of the writer
	first     uint64        // number of the first write of this run under the name
	clashed   time.Duration // count of the last clash that led to a new name
	pause     time.Duration // until the next one; 0 before the first
}

// clash notes a clash, and reports whether a new name is due.
func (id *identity) clash(count time.Duration) bool {
	if id.pause > 0 && count-id.clashed < id.pause {
		return false
	}
	id.clashed, id.pause = count, min(max(firstClash, 2*id.pause), lastClash)
	return true
}

// newName returns a name for the writer that nobody has used.
func (id *identity) newName(self string) string {
	var random [8]byte
	rand.Read(random[:])
	id.confirmed, id.first = true, 1
	return replica.WriterName(self, binary.BigEndian.Uint64(random[:])>>16|1)
}
