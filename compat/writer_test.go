package compat

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/p2p-today/go2p/compat/internal/legacy"
	"github.com/p2p-today/go2p/compat/internal/wire"
)

// halfClosed is an end of a net.Pipe, which is over when one side has said all.
type halfClosed struct{ net.Conn }

func (p halfClosed) CloseWrite() error { return p.Close() }

// A reader that falls behind gets no more than it has said that it has read, and what it says
// to the handshake counts for that alone.
func TestWriter_SendsNoMoreThanIsAnswered(t *testing.T) {
	for _, version := range []string{"0.5", "0.6", "0.7"} {
		synctest.Test(t, func(t *testing.T) {
			n := open(t, Options{Kind: Mesh, Version: version})
			near, far := net.Pipe()
			n.conns.take(stream{halfClosed{near}}, "")
			var broadcasts, questions atomic.Int32
			go func() {
				for {
					body, err := wire.ReadFrame(far, wire.MaxFrame)
					if err != nil {
						return
					}
					switch m, err := wire.Decode(n.network.Version, body); {
					case err != nil:
						t.Errorf("%s: %v", version, err)
					case m.Main() == wire.Broadcast:
						broadcasts.Add(1)
					case m.Sub() == wire.Request, m.Sub() == wire.Handshake:
						questions.Add(1)
					}
				}
			}()
			r := &hostilePeer{t: t, v: n.network.Version, c: far}
			r.greet(n, "3slow")
			synctest.Wait()
			for i := range 200 {
				if err := n.Send(t.Context(), fmt.Sprint("message ", i)); err != nil {
					t.Fatal(err)
				}
			}
			for answers := range int32(3) {
				if answers > 0 {
					r.say("3slow", wire.Whisper, wire.Peers, n.network.Version.PeersArg(nil))
				}
				synctest.Wait()
				got, asked := broadcasts.Load(), questions.Load()
				if want := (answers+1)*32 - 1; got != want || asked != answers+legacy.MaxAsked { // one frame tells its peers
					t.Errorf("%s: %d broadcasts, not %d, and %d questions after %d answers", version, got, want, asked, answers)
				}
			}
		})
	}
}

// Two nodes that have much to say to each other do not wait for each other's answers.
func TestWriter_TwoBusyNodesDoNotWaitForEachOther(t *testing.T) {
	for _, version := range []string{"0.5", "0.6", "0.7"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			opts := Options{Kind: Mesh, Version: version, Listen: "127.0.0.1:0", HelloDelay: 50 * time.Millisecond}
			a, b := open(t, opts), open(t, opts)
			if err := b.Connect(t.Context(), a.Addr()); err != nil {
				t.Fatal(err)
			}
			eventually(t, "both know", func() bool { return len(a.Peers()) == 1 })
			const count = 1000
			var all sync.WaitGroup
			for _, n := range []*MeshNode{a, b} {
				heard := n.Messages(t.Context())
				all.Go(func() {
					for i := range count {
						if err := n.Send(t.Context(), fmt.Sprint(n.ID(), i)); err != nil {
							t.Error(err)
						}
					}
				})
				all.Go(func() {
					rest := count
					for _, err := range heard {
						if rest--; err != nil || rest == 0 {
							break
						}
					}
				})
			}
			done := make(chan struct{})
			go func() { all.Wait(); close(done) }()
			eventually(t, "all are heard", func() bool {
				select {
				case <-done:
					return true
				default:
					return false
				}
			})
		})
	}
}
