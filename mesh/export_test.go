package mesh

import (
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// PutClocksOut has peers show wrong times until the end of a test.
func PutClocksOut(t *testing.T, wrong func(peer.ID) time.Duration) {
	right := wallClock
	wallClock = func(p peer.ID) time.Time { return right(p).Add(wrong(p)) }
	t.Cleanup(func() { wallClock = right })
}
