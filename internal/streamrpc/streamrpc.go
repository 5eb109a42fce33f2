// Package streamrpc asks and answers questions over streams: many at a time on one stream
// to each peer, which is opened by the first question and stays open.
//
// A question or answer is one frame. What is in it is up to the owner, who has put a number
// into each, by which an answer finds its question. [Clients] ask, [Serve] answers.
//
// A caller writes its question itself while nobody else writes; an answer goes from the
// goroutine that reads it straight to the caller.
package streamrpc

import (
	"errors"
	"time"
)

// ErrClosed says that the owner is closed.
var ErrClosed = errors.New("closed")

// Limits are those of one stream.
type Limits struct {
	MaxFrame  int           // bytes of a body that is received
	MaxUnsent int           // bytes that wait to be written; who sends more waits for room
	WriteTime time.Duration // for one write; 0 for as long as the sender's context allows, which resets the stream
	Idle      time.Duration // without a frame from the other end, until the stream ends; 0 for ever
}
