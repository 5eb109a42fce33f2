package sync

import (
	"iter"
	"strings"

	"github.com/p2p-today/go2p/sync/internal/replica"
)

// viewChunk is how many keys or changes are read under one lock.
const viewChunk = 256

func (p *commitPipeline) get(key string) *replica.Entry {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.replica.Get(key)
}

// lease returns the lease of an entry, as it is now.
func (p *commitPipeline) lease(e *replica.Entry) replica.Lease {
	return p.replica.LeaseOf(p.env.now(), e)
}

func (p *commitPipeline) usage() replica.Usage {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.replica.Usage()
}

// entries yields those whose keys begin with a prefix, in the order of their keys. The
// lock is not held while the loop runs: what changes meanwhile is seen or not.
func (p *commitPipeline) entries(prefix string) iter.Seq[*replica.Entry] {
	return func(yield func(*replica.Entry) bool) {
		chunk := make([]*replica.Entry, 0, viewChunk)
		for next := prefix; ; next = chunk[len(chunk)-1].Key + "\x00" {
			chunk = chunk[:0]
			p.mu.RLock()
			for e := range p.replica.All(next) {
				if !strings.HasPrefix(e.Key, prefix) {
					break
				}
				if chunk = append(chunk, e); len(chunk) == cap(chunk) {
					break
				}
			}
			p.mu.RUnlock()
			for _, e := range chunk {
				if !yield(e) {
					return
				}
			}
			if len(chunk) < cap(chunk) {
				return
			}
		}
	}
}

// snapshot returns all entries as they are at one moment.
func (p *commitPipeline) snapshot() []*replica.Entry {
	p.mu.RLock()
	defer p.mu.RUnlock()
	entries := make([]*replica.Entry, 0, p.replica.Usage().Keys)
	for e := range p.replica.All("") {
		entries = append(entries, e)
	}
	return entries
}

// knows reports whether nothing in a batch is new.
func (p *commitPipeline) knows(b *replica.Batch) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.replica.Knows(b)
}

// start begins a reconciliation that this replica asks for, and returns its first message.
func (p *commitPipeline) start(rec *replica.Reconciliation, salt []byte) replica.Message {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return rec.Start(salt)
}

// appendChunk returns a message with the first of some records, and the records that are
// left.
func (p *commitPipeline) appendChunk(records []replica.Group) (body []byte, rest []replica.Group) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return replica.AppendChunk(records, p.env.now().Count)
}

// hasAll reports whether a write, and all of its writer before it, is here. If not, the
// channel is closed when there is more.
func (p *commitPipeline) hasAll(last replica.Dot) (has bool, more <-chan struct{}) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.replica.Next(last.Writer) > last.N {
		return true, nil
	}
	return false, p.seen.C()
}

// changesAfter returns some of the changes after a revision. It reports false if some are
// remembered no more. If there are none, the channel is closed when there are, or when the
// error says why there never will be.
func (p *commitPipeline) changesAfter(after uint64) (
	changes []loggedChange, more <-chan struct{}, known bool, err error,
) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	changes, known = p.changes.since(after)
	if len(changes) > viewChunk {
		changes = changes[:viewChunk]
	}
	return changes, p.changes.more.C(), known, p.failed
}

// revision returns the number of the last change.
func (p *commitPipeline) revision() uint64 {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.changes.last
}
