package chord_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/chord"
	"github.com/p2p-today/go2p/mesh"
)

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func Example() {
	ctx := context.Background()
	var hosts []host.Host
	var tables []*chord.Table
	for i := range 3 {
		h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/udp/0/quic-v1"), libp2p.DisableMetrics())
		check(err)
		defer h.Close()
		m, err := mesh.Join(ctx, h, "lobby", nil)
		check(err)
		defer m.Close()
		if i > 0 {
			check(m.Connect(ctx, peer.AddrInfo{ID: hosts[0].ID(), Addrs: hosts[0].Addrs()}))
		}
		t, err := chord.Open(ctx, m, nil)
		check(err)
		defer t.Close()
		if i < 2 { // the third one does not store
			check(t.Join(ctx))
		}
		hosts, tables = append(hosts, h), append(tables, t)
	}
	check(tables[2].AwaitPeers(ctx))

	check(tables[2].Set(ctx, "color", "blue"))
	fmt.Println(tables[0].Get(ctx, "color"))
	check(tables[0].Delete(ctx, "color"))
	_, err := tables[1].Get(ctx, "color")
	fmt.Println(errors.Is(err, chord.ErrNotFound))

	// Output:
	// blue <nil>
	// true
}
