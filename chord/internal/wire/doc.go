// Package wire encodes the questions that nodes of a table ask each other, and the replies.
// Both are arrays of deterministic CBOR; docs/protocol.md describes them.
package wire
