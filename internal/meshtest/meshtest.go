// Package meshtest has what tests of all that stands on a mesh need: peers of one mesh, on
// a simulated network in virtual time. A test calls testnet.Run, and [New] in it.
package meshtest

import (
	"context"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/p2p-today/go2p/internal/testnet"
	"github.com/p2p-today/go2p/mesh"
)

// A Lab is a simulated network whose hosts may join meshes. What cannot be done fails the
// test. It is closed with the test.
type Lab struct {
	*testnet.Net
	Meshes []*mesh.Mesh // by host: the one that it has joined last, or nil

	t testing.TB
}

// New returns a lab of n hosts that have joined nothing. The seed is that of the network.
func New(t testing.TB, seed uint64, n int) *Lab {
	t.Helper()
	return &Lab{Net: testnet.New(t, seed, n), Meshes: make([]*mesh.Mesh, n), t: t}
}

// Join has host i join a network.
func (l *Lab) Join(i int, network string, opts *mesh.Options) *mesh.Mesh {
	l.t.Helper()
	m, err := mesh.Join(l.t.Context(), l.Hosts[i], network, opts)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { m.Close() })
	l.Meshes[i] = m
	return m
}

// Connect makes hosts i and j neighbours.
func (l *Lab) Connect(i, j int) {
	l.t.Helper()
	if err := l.Meshes[i].Connect(l.Ctx(), l.Info(j)); err != nil {
		l.t.Fatalf("%d to %d: %v", i, j, err)
	}
}

// Line connects each host to the next.
func (l *Lab) Line() {
	l.t.Helper()
	for i := range len(l.Meshes) - 1 {
		l.Connect(i, i+1)
	}
}

// Ctx returns a context that ends a minute from now, in virtual time.
func (l *Lab) Ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	l.t.Cleanup(cancel)
	return ctx
}

// Pass lets virtual time pass, and all that follows from it happen.
func Pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// Collect appends what a sequence yields to a list until it ends, in a goroutine. The test
// reads the list after Pass.
func Collect[T any](list *[]T, seq iter.Seq2[T, error]) {
	go func() {
		for item, err := range seq {
			if err != nil {
				return
			}
			*list = append(*list, item)
		}
	}()
}
