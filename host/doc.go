// Package host makes a libp2p host with settings that suit a go2p peer.
//
// [New] returns libp2p's own host.Host, which the other packages and any other
// libp2p code take; who has a host already needs nothing from here.
//
// The host's identity is an Ed25519 key in its data directory, so its peer ID
// survives restarts. It listens with QUIC, WebTransport, TCP and WebSocket on one
// port, speaks TLS and Noise, maps that port at the router, learns from others
// whether it can be reached, punches holes through NATs, is reached by way of relays
// if it must be, and finds other peers on the local network by multicast DNS.
//
// A key file that others may read is refused. A listening port that is taken is
// replaced by another one, which is then kept; addresses that are given must work.
// Close closes everything.
//
// There is no public bootstrap list and no DHT: whom to connect to is the caller's
// choice.
package host
