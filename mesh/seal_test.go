package mesh

import (
	"testing"

	"github.com/p2p-today/go2p/mesh/internal/batch"
)

// What a batch costs in allocations does not grow with its messages.
func TestSeal_AllocatesNothingForAMessage(t *testing.T) {
	m, _ := fuzzAuthor(t)
	cost := func(n int) (seal, scan float64) {
		messages := make([]batch.Message, n)
		for i := range messages {
			messages[i] = batch.Message{Time: int64(i), Packets: make([]byte, 100)}
		}
		sealed, err := m.seal(1, messages)
		if err != nil {
			t.Fatal(err)
		}
		return testing.AllocsPerRun(10, func() { m.seal(1, messages) }), testing.AllocsPerRun(10, func() { batch.Scan(sealed) })
	}
	seal1, scan1 := cost(1)
	sealMany, scanMany := cost(batch.MaxMessages)
	if sealMany > seal1 || scanMany > scan1 {
		t.Errorf("sealing: %v allocations for one message, %v for %d; scanning: %v and %v", seal1, sealMany, batch.MaxMessages, scan1, scanMany)
	}
}
