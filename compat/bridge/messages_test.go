package bridge

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/compat"
	"github.com/p2p-today/go2p/compat/internal/wire"
	"github.com/p2p-today/go2p/mesh"
)

// A simSide is both sides of a portal of messages.
type simSide struct {
	start time.Time
	in    []mesh.Relayed
	out   []int64         // times at which broadcasts say that they were sent
	after []time.Duration // when they were
}

func (s *simSide) Relay(_ context.Context, from mesh.Relayed, _ ...any) (mesh.Receipt, error) {
	s.in = append(s.in, from)
	return mesh.Receipt{}, nil
}

func (s *simSide) RelayTo(_ context.Context, _ peer.ID, from mesh.Relayed, _ ...any) error {
	s.in = append(s.in, from)
	return nil
}

func (s *simSide) AwaitRoom(context.Context) error { return nil }

func (s *simSide) Broadcast(_ string, at int64, _ string, _ []any) (news bool, err error) {
	s.out, s.after = append(s.out, at), append(s.after, time.Since(s.start))
	return true, nil
}

func (s *simSide) Whisper(string, string, []any) error { return nil }

// simPortal runs a portal of messages between simulated sides.
func simPortal(t *testing.T, elected bool) (*simSide, *messages) {
	side := &simSide{start: time.Now()}
	lead := newLeadership("tag", "bridge")
	if elected {
		lead.join(time.Now().Add(-time.Minute))
	}
	log := slog.New(slog.DiscardHandler)
	n := network{subnet: "lab", id: "net", version: wire.V7}
	m := newMessages(n, side, lead, newCounters(log), nil, log)
	_, gs := newSimNetwork()
	peers := func() []compat.Peer { return []compat.Peer{{ID: "old"}} }
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{}, 2)
	go func() { m.relayIn(ctx); done <- struct{}{} }()
	go func() { m.relayOut(ctx, peers, side, gs); done <- struct{}{} }()
	t.Cleanup(func() { cancel(); <-done; <-done; gs.close() })
	return side, m
}

func broadcast(origin string, at time.Time) mesh.Message {
	return mesh.Message{From: "native", Origin: origin, OriginID: origin + "/id", Time: at, Packets: []any{"hello"}}
}

func TestMessages_OthersWaitForTheElectedBridge(t *testing.T) {
	for elected, want := range map[bool]time.Duration{true: 100 * time.Millisecond, false: deferTime} { // a ghost dials for so long
		synctest.Test(t, func(t *testing.T) {
			side, m := simPortal(t, elected)
			m.observe(broadcast("", time.Now()))
			time.Sleep(5 * time.Second)
			synctest.Wait()
			if !slices.Equal(side.after, []time.Duration{want}) {
				t.Errorf("elected %v: sent after %v, not %v", elected, side.after, want)
			}
		})
	}
}

// Bridges would give a message that is too old different times, and old nodes would hear it once from each.
func TestMessages_OldOnesAreSentByTheElectedBridgeOnly(t *testing.T) {
	for _, elected := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			side, m := simPortal(t, elected)
			m.observe(broadcast("", time.Now().Add(-10*time.Minute)))
			time.Sleep(5 * time.Second)
			synctest.Wait()
			if sent := len(side.out) == 1; sent != elected {
				t.Errorf("elected %v: sent %v", elected, side.out)
			}
			if elected && time.Since(time.Unix(side.out[0], 0)) > 15*time.Second {
				t.Errorf("it says that it is from %v", time.Unix(side.out[0], 0))
			}
		})
	}
}

func TestMessages_NothingGoesBackToWhereItCameFrom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		side, m := simPortal(t, true)
		m.observe(broadcast("net", time.Now()))
		m.receive(compat.Message{From: m.network.ghost("native"), Kind: compat.KindBroadcast})
		m.receive(compat.Message{From: "old", ID: "id", Kind: compat.KindBroadcast})
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if want := []mesh.Relayed{{Origin: "legacy:lab/old", ID: "net/id"}}; len(side.out) != 0 || !slices.Equal(side.in, want) {
			t.Errorf("out %v, in %v", side.out, side.in)
		}
	})
}
