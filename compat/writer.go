package compat

import (
	"fmt"
	"time"

	"github.com/p2p-today/go2p/compat/internal/legacy"
)

const (
	drainTime  = 250 * time.Millisecond // for a reader to read a large frame
	answerTime = 10 * time.Second       // for it to say so, if it is asked
)

// A writer writes the frames of an outbox to a pipe, one by one, so that the node at the other end can read them. Its
// goroutine owns the pacer.
type writer struct {
	out   *outbox
	pipe  pipe
	pacer *legacy.Pacer
	more  func() bool // has the core put frames in the outbox that it has held back; false if there are none
}

// run writes until the connection ends and the outbox is empty. It calls end if it cannot write.
func (w *writer) run(end func(why error)) {
	for {
		f, over := w.out.take()
		switch {
		case over && f.Body == nil:
			if w.pipe.closeWrite() != nil {
				w.pipe.Close()
			}
			return
		case f.Body == nil && !w.more():
			<-w.out.more.C()
		case f.Body == nil:
		default:
			if err := w.write(f); err != nil {
				end(fmt.Errorf("write: %w", err))
				w.out.discard()
			}
		}
	}
}

// write writes a frame so that the node can read it, and what comes after it.
func (w *writer) write(f legacy.Frame) error {
	if !f.Paced {
		return w.pipe.write(f.Body)
	}
	if err := w.drain(); err != nil {
		return err
	}
	if err := w.await(legacy.MaxAsked - 1); err != nil {
		return err
	}
	if f.Asks {
		return w.ask(f.Body)
	}
	if err := w.writePaced(f.Body); err != nil {
		return err
	}
	if !w.out.wrote(4 + len(f.Body)) {
		return nil
	}
	return w.ask(w.pacer.Question(time.Now()))
}

// ask writes a frame that the node answers. The answer may be there before the write returns.
func (w *writer) ask(body []byte) error {
	w.out.ask()
	return w.writePaced(body)
}

// writePaced writes a frame where it may end, with a filler before it if it must.
func (w *writer) writePaced(body []byte) error {
	now, size := time.Now(), 4+len(body)
	filler, ok := w.pacer.Filler(now, size)
	if !ok {
		w.pause()
	}
	if filler != nil {
		if err := w.pipe.write(filler); err != nil {
			return err
		}
		w.pacer.Wrote(now, 4+len(filler))
	}
	if err := w.pipe.write(body); err != nil {
		return err
	}
	w.pacer.Wrote(now, size)
	if legacy.MustWait(size) {
		w.pause()
	}
	return nil
}

// pause gives the node time to read all that was written.
func (w *writer) pause() {
	time.Sleep(drainTime)
	w.pacer.Restart()
}

// await waits until the node has at most but questions to answer. It sends the node its answers meanwhile: if both
// nodes waited for each other, neither would go on.
func (w *writer) await(but int) error {
	patience := time.NewTimer(answerTime)
	defer patience.Stop()
	for {
		f, enough := w.out.takeAnswer(but)
		if enough {
			return nil
		}
		if f.Body != nil {
			if err := w.writePaced(f.Body); err != nil {
				return err
			}
			continue
		}
		select {
		case <-w.out.heard.C():
		case <-patience.C:
			w.out.giveUp() // it never will answer
		}
	}
}

// drain waits until the node has read all, if the pacer asks for that.
func (w *writer) drain() error {
	if !w.pacer.Crowded() {
		return nil
	}
	if w.out.unasked() {
		if err := w.ask(w.pacer.Question(time.Now())); err != nil {
			return err
		}
	}
	if err := w.await(0); err != nil {
		return err
	}
	if w.out.unasked() { // an answer, behind the question
		time.Sleep(drainTime)
	}
	w.pacer.Restart()
	return nil
}
