package compat_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/libp2p/go-libp2p"

	"github.com/p2p-today/go2p/compat"
	"github.com/p2p-today/go2p/mesh"
)

// A node of an old network shares its dictionary. In the place of the second node here any
// py2p or js2p of the same version could be.
func Example() {
	ctx := context.Background()
	shed, err := compat.Open(ctx, compat.Options{Kind: compat.Sync, Version: "0.7", Subnet: "lab", Listen: "127.0.0.1:0"})
	if err != nil {
		log.Fatal(err)
	}
	defer shed.Close()
	house, err := compat.Open(ctx, compat.Options{Kind: compat.Sync, Version: "0.7", Subnet: "lab"})
	if err != nil {
		log.Fatal(err)
	}
	defer house.Close()

	changes := house.Changes(ctx)
	if err := house.Connect(ctx, shed.Addr()); err != nil {
		log.Fatal(err)
	}
	if err := shed.Set(ctx, "temperature", 21.5); err != nil {
		log.Fatal(err)
	}
	for c, err := range changes {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(c.Key, c.Value, c.Owner == shed.ID())
		break
	}
	if err := house.Set(ctx, "temperature", 99); err != nil {
		fmt.Println("not its key")
	}
	// Output:
	// temperature 21.5 true
	// not its key
}

// A native network and an old one that hear each other.
func ExampleBridge() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	old, err := compat.Open(ctx, compat.Options{Kind: compat.Mesh, Version: "0.7", Listen: "127.0.0.1:0"})
	if err != nil {
		log.Fatal(err)
	}
	defer old.Close()

	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"))
	if err != nil {
		log.Fatal(err)
	}
	defer h.Close()
	m, err := mesh.Join(ctx, h, "lab", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	b := compat.NewBridge(m, nil)
	defer b.Close()
	name, opts, connect, err := compat.ParseURL("mesh://?version=0.7&name=old&connect=" + old.Addr())
	if err != nil {
		log.Fatal(err)
	}
	if _, err := b.Add(ctx, name, opts, connect...); err != nil {
		log.Fatal(err)
	}

	messages := m.Messages(ctx)
	if err := old.AwaitPeers(ctx); err != nil {
		log.Fatal(err)
	}
	if err := old.Send(ctx, "still here"); err != nil {
		log.Fatal(err)
	}
	for msg, err := range messages {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(msg.Packets[0], msg.Origin == compat.OriginPrefix+"mesh/"+old.ID())
		break
	}
	// Output:
	// still here true
}
