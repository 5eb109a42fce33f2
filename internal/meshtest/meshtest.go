// Package meshtest has fixtures for tests of a mesh and of what stands on one: peers on a
// simulated network, in virtual time. A test calls testnet.Run, and [New] in it.
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

// A Lab is a simulated network whose hosts may join meshes. An operation that fails fails
// the test. The lab is closed with the test.
type Lab struct {
	*testnet.Net
	Meshes []*mesh.Mesh // by host: the mesh that it has joined last, or nil

	t testing.TB
}

// New returns a lab of n hosts without meshes. The seed is that of the simulated network.
func New(t testing.TB, seed uint64, n int) *Lab {
	t.Helper()
	return &Lab{Net: testnet.New(t, seed, n), Meshes: make([]*mesh.Mesh, n), t: t}
}

// Join makes host i a member of a network.
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

// Pass lets virtual time pass, and returns when all goroutines wait.
func Pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// Collect starts a goroutine that appends the items of a sequence to a list, until the
// sequence ends. The test reads the list after Pass.
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
