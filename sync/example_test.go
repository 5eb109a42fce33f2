package sync_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/mesh"
	p2psync "github.com/p2p-today/go2p/sync"
)

// open makes a peer of a network with a dictionary, on a host that a program has.
func open(network string) (host.Host, *mesh.Mesh, *p2psync.Dict) {
	ctx := context.Background()
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/udp/0/quic-v1"), libp2p.DisableMetrics())
	check(err)
	m, err := mesh.Join(ctx, h, network, nil)
	check(err)
	d, err := p2psync.Open(ctx, m, nil)
	check(err)
	return h, m, d
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func Example() {
	ctx := context.Background()
	aliceHost, aliceMesh, alice := open("lobby")
	bobHost, bobMesh, bob := open("lobby")
	defer func() {
		for _, end := range []func() error{alice.Close, bob.Close, aliceMesh.Close, bobMesh.Close, aliceHost.Close, bobHost.Close} {
			check(end())
		}
	}()
	check(aliceMesh.Connect(ctx, peer.AddrInfo{ID: bobHost.ID(), Addrs: bobHost.Addrs()}))

	check(alice.Set(ctx, "color", "blue", p2psync.Acks(1))) // returns when Bob has it
	v, err := bob.Get("color")
	fmt.Println(v, err)

	err = bob.Set(ctx, "color", "red")
	held, ok := errors.AsType[*p2psync.LeaseError](err)
	fmt.Println(ok, held.Owner == aliceHost.ID().String(), held.For.Minutes() > 60)
	// Output:
	// blue <nil>
	// true true true
}

func ExampleDict_Watch() {
	ctx := context.Background()
	h, m, d := open("lobby")
	defer func() {
		for _, end := range []func() error{d.Close, m.Close, h.Close} {
			check(end())
		}
	}()
	check(d.Set(ctx, "room/1", 20.5))
	changes := 0
	for c, err := range d.Watch(ctx, "room/", "") {
		check(err)
		fmt.Println(c.Kind, c.Key, c.Value, c.Old)
		if changes++; changes == 2 {
			break
		}
		check(d.Set(ctx, "room/1", 21.0))
	}
	// Output:
	// update room/1 20.5 <nil>
	// update room/1 21 20.5
}

func ExampleTyped() {
	ctx := context.Background()
	h, m, d := open("lobby")
	defer func() {
		for _, end := range []func() error{d.Close, m.Close, h.Close} {
			check(end())
		}
	}()
	type reading struct {
		Celsius float64 `cbor:"celsius"`
		Where   string  `cbor:"where"`
	}
	rooms := p2psync.NewTyped[string, reading](d, "room/")
	check(rooms.Set(ctx, "1", reading{20.5, "window"}))
	r, err := rooms.Get("1")
	fmt.Println(r.Celsius, r.Where, err)
	v, err := d.Get("room/1")
	fmt.Println(v, err)
	// Output:
	// 20.5 window <nil>
	// map[celsius:20.5 where:window] <nil>
}
