package compat_test

import (
	"context"
	"fmt"
	"log"

	"github.com/p2p-today/go2p/compat"
)

// A node of an old network shares its dictionary. In the place of the second node here any
// py2p or js2p of the same version could be.
func Example() {
	ctx := context.Background()
	shed, err := compat.OpenSync(ctx, compat.Options{Version: "0.7", Subnet: "lab", Listen: "127.0.0.1:0"})
	if err != nil {
		log.Fatal(err)
	}
	defer shed.Close()
	house, err := compat.OpenSync(ctx, compat.Options{Version: "0.7", Subnet: "lab"})
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
