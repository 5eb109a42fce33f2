package testnet

import (
	"context"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
)

// pingOf measures the way from host 0 to host 1 and back.
func pingOf(t *testing.T, w *Net, wait time.Duration) (time.Duration, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	r, answered := <-ping.Ping(network.WithNoDial(ctx, "test"), w.Hosts[0], w.Hosts[1].ID())
	if !answered {
		return 0, ctx.Err()
	}
	return r.RTT, r.Error
}

func TestNet_LatencyLossAndCut(t *testing.T) {
	Run(t, func(t *testing.T, seed uint64) {
		w := New(t, seed, 3)
		if err := w.Hosts[0].Connect(t.Context(), w.Info(1)); err != nil {
			t.Fatal(err)
		}
		for _, latency := range []time.Duration{5 * time.Millisecond, 40 * time.Millisecond} {
			w.Latency(latency)
			if rtt, err := pingOf(t, w, time.Minute); err != nil || rtt < 2*latency || rtt > 3*latency {
				t.Errorf("%v there and back: %v, %v", latency, rtt, err)
			}
		}
		w.Cut(1)
		if _, err := pingOf(t, w, time.Second); err == nil {
			t.Error("a ping across a cut")
		}
		w.Cut()
		if _, err := pingOf(t, w, time.Minute); err != nil {
			t.Errorf("after healing: %v", err)
		}
		w.Cut(2)
		if _, err := pingOf(t, w, time.Second); err != nil {
			t.Errorf("on one side of a cut: %v", err)
		}
		w.Loss(1)
		if _, err := pingOf(t, w, time.Second); err == nil {
			t.Error("a ping with all packets lost")
		}
		w.Loss(0.3)
		if _, err := pingOf(t, w, time.Minute); err != nil {
			t.Errorf("with some lost: %v", err)
		}
	})
}

func TestNet_KillAndRestart(t *testing.T) {
	Run(t, func(t *testing.T, seed uint64) {
		w := New(t, seed, 2)
		before := w.Info(1)
		if err := w.Hosts[0].Connect(t.Context(), before); err != nil {
			t.Fatal(err)
		}
		w.Kill(1)
		if w.Hosts[0].Network().Connectedness(before.ID) != network.Connected {
			t.Error("the other host was told")
		}
		w.Restart(1)
		if w.Hosts[1].ID() != before.ID {
			t.Error("it has another identity")
		}
		if err := w.Hosts[1].Connect(t.Context(), w.Info(0)); err != nil {
			t.Errorf("after the restart: %v", err)
		}
	})
}
