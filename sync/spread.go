package sync

import (
	"crypto/rand"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/internal/dcbor"
	"github.com/p2p-today/go2p/internal/value"
	"github.com/p2p-today/go2p/mesh"
)

var (
	errForged = errors.New("records that are not signed by their writer for this network")
	errValue  = errors.New("a value outside of the data model")
)

// sign puts records under as few signatures as can be, and returns the messages that
// carry them.
func (d *Dict) sign(now instant, entries []*entry) (messages [][]byte, err error) {
	for len(entries) > 0 {
		n, bytes := 0, 0
		for n < len(entries) && n < maxBatch && (n == 0 || bytes+entries[n].size() <= batchBytes) {
			bytes += entries[n].size()
			n++
		}
		var nonce digest
		rand.Read(nonce[:])
		b := newBatch(d.replica.writer, nonce, slices.Clone(entries[:n]))
		if b.sig, err = d.service.Sign(batchPurpose, b.toSign()); err != nil {
			return nil, err
		}
		places := make([]int, n)
		for i := range places {
			places[i] = i
		}
		messages = append(messages, b.append(make([]byte, 0, b.size(places)), places, now.count))
		for _, e := range entries[:n] {
			if d.replica.tree.get(e.key) != e { // a delete, or replaced already
				b.drop(e)
			}
		}
		entries = entries[n:]
	}
	return messages, nil
}

const (
	batchPurpose = "go2p-sync-batch-1"
	batchBytes   = 256 << 10 // under one signature, if it is more than one record
)

// publish sends batches to the other members. Nobody may hold mu: pubsub waits for those
// who judge, who wait for it.
func (d *Dict) publish(messages [][]byte) {
	for _, data := range messages {
		if err := d.topic.Publish(d.ctx, data); err != nil {
			d.log.Warn("cannot send: others catch up later", "err", err)
		}
	}
}

// judge takes a batch that a neighbour has sent or passed on.
func (d *Dict) judge(from peer.ID, data []byte) mesh.Verdict {
	sc := dcbor.Scan(data)
	b, err := scanBatch(&sc, d.now().count)
	if err == nil {
		err = sc.End()
	}
	if err == nil && b.alive != len(b.leaves) {
		err = fmt.Errorf("%w: a part of a batch", errForged)
	}
	if err == nil && d.knows(b) {
		return mesh.Ignore
	}
	if err == nil {
		err = d.check(b)
	}
	if err != nil {
		d.reject(from, err)
		return mesh.Reject
	}
	fresh, err := d.receive(from, b)
	if err != nil || !fresh {
		return mesh.Ignore
	}
	runtime.Gosched() // to who watches, before others get it
	return mesh.Pass
}

// knows tells whether nothing in a batch is new here. What bears the name of this
// writer is looked at anyway: it may be another's.
func (d *Dict) knows(b *batch) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if b.writer == d.replica.writer {
		return false
	}
	for _, e := range b.leaves {
		if !d.replica.seen.has(e.dot) {
			return false
		}
	}
	return true
}

// check checks who has signed a batch, and that what is in it is what a peer may write.
func (d *Dict) check(b *batch) error {
	owner, _, _ := strings.Cut(b.writer, "/")
	by, err := peer.Decode(owner)
	if err != nil || !d.service.Verify(by, batchPurpose, b.toSign(), b.sig) {
		return errForged
	}
	for _, e := range b.leaves {
		if e == nil {
			continue
		}
		if e.owner != owner && !isLegacy(e.owner) {
			return fmt.Errorf("%w: of another owner", errForged)
		}
		if !e.deleted && !value.Valid([]byte(e.value)) {
			return errValue
		}
	}
	return nil
}

// reject counts what no honest peer sends against a neighbour.
func (d *Dict) reject(from peer.ID, err error) {
	d.stats.rejected.Add(1)
	d.log.Debug("rejected", "peer", from, "err", err)
	d.service.ReportMisbehaviour(from, err)
}

// receive takes a batch that has been checked, and tells whether there is news in it.
func (d *Dict) receive(from peer.ID, b *batch) (fresh bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failed != nil {
		return false, d.failed
	}
	now := d.now()
	out := d.replica.receive(now, b.leaves)
	if err := d.keep(now, out); err != nil {
		return false, err
	}
	d.stats.received.Add(uint64(len(b.leaves)))
	if out.missing {
		d.levelMu.Lock()
		d.levels.gap(time.Now(), string(from))
		d.levelMu.Unlock()
		d.wakeLoop()
	}
	return len(out.writers) > 0 || out.missing, nil
}

// keep stores effects and does what follows from them. The caller holds mu.
func (d *Dict) keep(now instant, out effects) error {
	if d.store != nil && (len(out.changes) > 0 || len(out.writers) > 0) {
		if err := d.store.write(d.replica, out, now.count, false); err != nil {
			d.failed = err
			d.log.Error("nothing can be written any more", "err", err)
			return err
		}
	}
	d.took(now, out)
	return nil
}
