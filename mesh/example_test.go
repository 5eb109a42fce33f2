package mesh_test

import (
	"context"
	"fmt"
	"log"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/mesh"
)

// newHost stands for the libp2p host that a program has.
func newHost() host.Host {
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/udp/0/quic-v1"), libp2p.DisableMetrics())
	if err != nil {
		log.Fatal(err)
	}
	return h
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func Example() {
	ctx := context.Background()
	alice, bob := newHost(), newHost()
	defer alice.Close()
	defer bob.Close()

	a, err := mesh.Join(ctx, alice, "lobby", nil)
	check(err)
	defer a.Close()
	b, err := mesh.Join(ctx, bob, "lobby", nil)
	check(err)
	defer b.Close()
	messages := b.Messages(ctx)

	check(a.Connect(ctx, peer.AddrInfo{ID: bob.ID(), Addrs: bob.Addrs()}))
	_, err = a.Broadcast(ctx, "hello", 42)
	check(err)
	for msg, err := range messages {
		check(err)
		fmt.Println(msg.Kind, msg.Packets)
		break
	}
	// Output: broadcast [hello 42]
}

func ExampleMesh_Ask() {
	ctx := context.Background()
	alice, bob := newHost(), newHost()
	defer alice.Close()
	defer bob.Close()
	a, err := mesh.Join(ctx, alice, "lobby", nil)
	check(err)
	defer a.Close()
	b, err := mesh.Join(ctx, bob, "lobby", nil)
	check(err)
	defer b.Close()

	// Bob adds numbers. What he does not understand goes to other handlers.
	b.Handle(func(ctx context.Context, msg mesh.Message) bool {
		sum := int64(0)
		for _, p := range msg.Packets {
			n, ok := p.(int64)
			if !ok {
				return false
			}
			sum += n
		}
		return b.Reply(ctx, msg, sum) == nil
	})

	check(a.Connect(ctx, peer.AddrInfo{ID: bob.ID(), Addrs: bob.Addrs()}))
	reply, err := a.Ask(ctx, bob.ID(), 1, 2, 39)
	check(err)
	fmt.Println(reply.Packets)
	// Output: [42]
}
