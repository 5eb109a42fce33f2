package main

import (
	"net"
	"testing"

	"github.com/p2p-today/go2p/cmd/peer/control"
	"github.com/p2p-today/go2p/compat"
)

func TestBridgeCheck(t *testing.T) {
	n, err := compat.Open(t.Context(), compat.Options{Kind: compat.Sync, Version: "0.7", Subnet: "shed", Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	dir := t.TempDir()
	want := "a node 0.7 over Plaintext\nid       " + n.ID() + "\nlistens  " + n.Addr() + "\nnetwork  sync \"shed\" over Plaintext\n"
	if out := command("", "bridge", "check", n.Addr(), "--subnet", "shed", "--data", dir); out.code != 0 || out.out != want {
		t.Errorf("%+v", out)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if out := command("", "bridge", "check", l.Addr().String(), "--data", dir); out.code != control.ExitTimeout {
		t.Errorf("nobody: %+v", out)
	}
	if out := command("", "bridge", "check", "nowhere", "--data", dir); out.code != control.ExitUsage {
		t.Errorf("no address: %+v", out)
	}
}
