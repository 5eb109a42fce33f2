package host_test

import (
	"fmt"
	"log"
	"os"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/p2p-today/go2p/host"
)

// A host keeps its ID when it is started again with the same data.
func Example() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	options := &host.Options{
		DataDir: dir,
		NoMDNS:  true, // this example stays by itself
		Listen:  []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/udp/0/quic-v1")},
	}

	h, err := host.New(options)
	if err != nil {
		log.Fatal(err)
	}
	first := h.ID()
	h.Close()

	h, err = host.New(options)
	if err != nil {
		log.Fatal(err)
	}
	defer h.Close()
	fmt.Println(h.ID() == first)
	// Output: true
}
