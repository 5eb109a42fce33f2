package sync

import (
	"runtime"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/mesh"
	"github.com/p2p-today/go2p/sync/internal/replica"
)

// sign signs what a batch has to sign.
func (d *Dict) sign(body []byte) ([]byte, error) { return d.service.Sign(batchPurpose, body) }

const batchPurpose = "go2p-sync-batch-1"

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
	b, err := replica.ParseBatch(data, d.now().Count)
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

func (d *Dict) knows(b *replica.Batch) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.replica.Knows(b)
}

// check checks who has signed a batch, and what is in it.
func (d *Dict) check(b *replica.Batch) error {
	return b.Verify(func(owner string, body, sig []byte) bool {
		by, err := peer.Decode(owner)
		return err == nil && d.service.Verify(by, batchPurpose, body, sig)
	})
}

// reject counts what no honest peer sends against a neighbour.
func (d *Dict) reject(from peer.ID, err error) {
	d.stats.rejected.Add(1)
	d.log.Debug("rejected", "peer", from, "err", err)
	d.service.ReportMisbehaviour(from, err)
}

// receive takes a batch that has been checked, and tells whether there is news in it.
func (d *Dict) receive(from peer.ID, b *replica.Batch) (fresh bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failed != nil {
		return false, d.failed
	}
	now := d.now()
	out := d.replica.Receive(now, b.Records())
	if err := d.keep(now, out); err != nil {
		return false, err
	}
	d.stats.received.Add(uint64(len(b.Records())))
	if out.Missing {
		d.levelMu.Lock()
		d.levels.Gap(time.Now(), string(from))
		d.levelMu.Unlock()
		d.wakeLoop()
	}
	return len(out.Writers) > 0 || out.Missing, nil
}

// keep stores effects and does what follows from them. The caller holds mu.
func (d *Dict) keep(now replica.Instant, out replica.Effects) error {
	if d.store != nil && (len(out.Changes) > 0 || len(out.Writers) > 0) {
		if err := d.store.write(out, now.Count, false); err != nil {
			d.failed = err
			d.log.Error("nothing can be written any more", "err", err)
			return err
		}
	}
	d.took(now, out)
	return nil
}
