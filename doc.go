// Package go2p is the root of a library and a command for peer-to-peer programs on
// libp2p: peers on a LAN or across the internet that send messages to each other
// without a server. It has no code of its own.
//
// Start with [github.com/p2p-today/go2p/mesh], which makes any libp2p host a member
// of a network, and with [github.com/p2p-today/go2p/host] if there is no host yet:
//
//	h, err := host.New(&host.Options{DataDir: "data"})
//	m, err := mesh.Join(ctx, h, "lobby", nil)
//	_, err = m.Broadcast(ctx, "hello")
//
// The command is [github.com/p2p-today/go2p/cmd/peer]. README.md has a first
// session, docs/ the protocol, the design and how the tests work.
package go2p
