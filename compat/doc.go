// Package compat takes part in the networks of py2p and js2p, the peer-to-peer libraries of 2016-17, as one of their
// nodes: a [MeshNode], [SyncNode] or [ChordNode]. It speaks protocols 0.4, 0.5, 0.6 and 0.7, over TCP, TLS and
// WebSocket. docs/legacy.md says what old nodes do with what they get, and what this package does about it.
//
// Old networks prove nothing. A node that knows the name of a network can read, write and delete, and can claim to be
// another node. TLS there hides what is said, but no node checks a certificate.
//
// The core is internal/legacy: it decides what a node says and does. An engine drives it, connections run the pipes,
// and a dialer redials.
package compat
