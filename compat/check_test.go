package compat

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/p2p-today/go2p/internal/oldpeers"
)

// Check finds out what real old nodes speak, and they live on.
func TestOldCheck_FindsEveryVersion(t *testing.T) {
	for _, l := range []struct {
		way
		kind   Kind
		subnet string
		want   string
	}{
		{way{language: "py", version: "0.4", transport: Plaintext}, Mesh, "mesh", `mesh "mesh" over Plaintext`},
		{way{language: "py", version: "0.5", transport: SSL}, Sync, "sync", `sync "sync" over SSL`},
		{way{language: "py", version: "0.6", transport: Plaintext}, Sync, "lab", `sync "lab" over Plaintext`},
		{way{language: "py", version: "0.7", transport: Plaintext}, Chord, "chord", `chord "chord" over Plaintext`},
		{way{language: "py", version: "0.4", transport: Plaintext}, Chord, "chord", `chord, with any k`},
		{way{language: "js", version: "0.7", transport: Plaintext}, Mesh, "mesh", `mesh "mesh" over Plaintext`},
		{way{language: "js", version: "0.7", transport: SSL}, Sync, "sync", `sync "sync" over SSL`},
		{way{language: "js", version: "0.7", transport: WebSocket}, Sync, "lab", `sync "lab" over ws`},
	} {
		t.Run(l.String()+" "+string(l.kind), func(t *testing.T) {
			t.Parallel()
			oldpeers.Needs(t, l.language, l.version)
			o := oldpeers.Start(t, l.language, l.version, map[string]any{"kind": string(l.kind), "subnet": l.subnet, "encryption": string(l.transport)})
			var f Found
			for range 2 {
				var err error
				if f, err = Check(t.Context(), o.Addr, "lab"); err != nil {
					t.Fatal(err)
				}
			}
			if f.Version != l.version || f.Language != l.language || f.Transport != l.transport || f.Network != l.want || f.ID != o.ID {
				t.Errorf("%+v", f)
			}
			o.Must("id", nil)
		})
	}
}

func TestCheck_NobodyIsAnError(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Write([]byte("220 mail.example ESMTP\r\n"))
		}
	}()
	if _, err := Check(t.Context(), l.Addr().String()); !errors.Is(err, ErrSaysNothing) {
		t.Errorf("another server: %v", err)
	}
	l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := Check(ctx, l.Addr().String()); err == nil || errors.Is(err, ErrSaysNothing) {
		t.Errorf("nobody: %v", err)
	}
}

// A node of this library is found, too.
func TestCheck_FindsANode(t *testing.T) {
	n := open(t, Options{Kind: Sync, Version: "0.6", Subnet: "lab", Listen: "127.0.0.1:0"})
	f, err := Check(t.Context(), n.Addr(), "lab")
	if err != nil || f.ID != n.ID() || f.Version != "0.6" || f.Network != `sync "lab" over Plaintext` || f.Language != "" {
		t.Errorf("%+v, %v", f, err)
	}
	if f, err = Check(t.Context(), n.Addr()); err != nil || f.ID != n.ID() || f.Version != "0.6 or 0.7" || f.Network != "" {
		t.Errorf("without the name: %+v, %v", f, err)
	}
}
