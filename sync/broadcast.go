package sync

import (
	"context"
	"runtime"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/mesh"
	"github.com/p2p-today/go2p/sync/internal/replica"
)

// A broadcaster sends batches to all members on a topic, and takes theirs. It does not
// change after join.
type broadcaster struct {
	verifier
	pipeline *commitPipeline
	missing  func(from peer.ID) // events before those that a neighbour sent
	topic    *mesh.Topic
}

// join joins the topic of dictionaries with some parameters.
func (b *broadcaster) join(p replica.Params, joined func(peer.ID)) (err error) {
	b.topic, err = b.service.JoinTopic(p.Topic(), b.validate, joined)
	return err
}

// publish sends batches to the other members.
func (b *broadcaster) publish(ctx context.Context, messages [][]byte) {
	for _, data := range messages {
		if err := b.topic.Publish(ctx, data); err != nil {
			b.log.Warn("cannot send: others catch up later", "err", err)
		}
	}
}

// validate takes a batch that a neighbour has sent or passed on.
func (b *broadcaster) validate(from peer.ID, data []byte) mesh.Verdict {
	batch, err := replica.ParseBatch(data, b.pipeline.env.now().Count)
	if err == nil && b.pipeline.knows(batch) {
		return mesh.Ignore
	}
	if err == nil {
		err = b.verify(batch)
	}
	if err != nil {
		b.reject(from, err)
		return mesh.Reject
	}
	news, missing, err := b.pipeline.receive(batch)
	if err != nil {
		return mesh.Ignore
	}
	b.stats.received.Add(uint64(len(batch.Records())))
	if missing {
		b.missing(from)
	}
	if !news {
		return mesh.Ignore
	}
	runtime.Gosched() // to who watches, before others get it
	return mesh.Pass
}

// close leaves the topic.
func (b *broadcaster) close() {
	if b.topic != nil {
		b.topic.Close()
	}
}
