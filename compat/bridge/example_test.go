package bridge_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/libp2p/go-libp2p"

	"github.com/p2p-today/go2p/compat"
	"github.com/p2p-today/go2p/compat/bridge"
	"github.com/p2p-today/go2p/mesh"
)

// A native network and an old one that hear each other.
func ExampleBridge() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	old, err := compat.OpenMesh(ctx, compat.Options{Version: "0.7", Listen: "127.0.0.1:0"})
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
	b := bridge.New(m, nil)
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
