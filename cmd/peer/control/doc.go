// Package control is the interface to a running peer: HTTP with JSON on a Unix
// socket in the peer's data directory, which only its owner may open.
//
// [Server] answers for a peer, [Client] asks it. Lists and streams are JSON Lines,
// one object a line as it comes; everything else is one object. A failure has the
// status 4xx or 5xx and an [Error] as its body. docs/operations.md lists the paths.
package control
