// Package control is the interface to a running peer: HTTP with JSON on a Unix socket in the peer's data directory,
// which only its owner may open.
//
// [Server] answers for a peer, [Client] asks it. A request that has an effect is a POST with a JSON object in its body.
// Lists and streams are JSON Lines, one object a line as it comes; everything else is one object. A failure has the
// status 4xx or 5xx and an [Error] as its body, whose [Code] says what kind of failure it is. What a user sees of it,
// exit codes and hints, is the command line's. docs/operations.md lists the paths and the codes.
package control
