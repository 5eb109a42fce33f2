// Package streamrpc asks and answers questions over streams. The first question to a peer
// opens a stream, which carries many questions at a time and stays open. [Clients] ask;
// [Serve] answers.
//
// A question or an answer is one frame. Its owner encodes it, with a number by which an
// answer is matched to its question.
//
// If the stream is idle, the caller writes its question itself. The goroutine that reads an
// answer passes it to the caller directly.
package streamrpc

import (
	"errors"
	"time"
)

// ErrClosed reports that the group of the clients is sealed.
var ErrClosed = errors.New("closed")

// Limits are the limits of one stream.
type Limits struct {
	MaxFrame  int           // bytes of a received body
	MaxUnsent int           // bytes that wait to be written; a sender of more waits
	WriteTime time.Duration // of one write; if 0, the end of the sender's context resets the stream
	Idle      time.Duration // without a received frame, until the stream ends; 0 for no limit
}
