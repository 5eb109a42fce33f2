// Package host makes a libp2p host with settings that suit a go2p peer.
//
// [New] returns libp2p's own host.Host, which the other packages and any other libp2p code
// take. A program that has a host already does not need this package.
//
// The identity of the host is an Ed25519 key in its data directory, so that its peer ID
// survives restarts. The host listens with QUIC, WebTransport, TCP and WebSocket on one port,
// and speaks TLS and Noise. It maps the port at the router, punches holes through NATs, and
// uses relays if it cannot be reached directly. It finds other peers on the local network by
// multicast DNS.
//
// New refuses a key file that other users may read. If the port is in use, New chooses another
// one and keeps it; addresses that the caller gives must work. Close closes everything.
//
// There is no public bootstrap list and no DHT: the caller chooses the peers to connect to.
package host
