package sync

import (
	"log/slog"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/mesh"
	"github.com/p2p-today/go2p/sync/internal/replica"
)

// batchPurpose is what the signatures of batches are for.
const batchPurpose = "go2p-sync-batch-1"

// A verifier checks what neighbours send, and reports those that send what no honest peer
// does. It has no state of its own.
type verifier struct {
	service *mesh.Service
	stats   *stats
	log     *slog.Logger
}

// sign signs what a batch has to sign.
func (v verifier) sign(body []byte) ([]byte, error) { return v.service.Sign(batchPurpose, body) }

// verify checks who has signed a batch, and what is in it.
func (v verifier) verify(b *replica.Batch) error {
	return b.Verify(func(owner string, body, sig []byte) bool {
		by, err := peer.Decode(owner)
		return err == nil && v.service.Verify(by, batchPurpose, body, sig)
	})
}

// reject counts what no honest peer sends against a neighbour.
func (v verifier) reject(from peer.ID, err error) {
	v.stats.rejected.Add(1)
	v.log.Debug("rejected", "peer", from, "err", err)
	v.service.ReportMisbehaviour(from, err)
}
