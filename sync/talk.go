package sync

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/internal/frame"
)

// A talk is one end of a session on a stream.
type talk struct {
	d       *Dict
	stream  network.Stream
	peer    peer.ID
	in      *frame.Reader
	session *reconciliation
	asked   bool // by this end
	news    bool // something has changed here
	useless int  // bytes
	done    bool // both are level
}

func (d *Dict) newTalk(s network.Stream, asked bool) *talk {
	return &talk{
		d: d, stream: s, peer: s.Conn().RemotePeer(), in: frame.NewReader(s, maxFrame),
		session: newReconciliation(d.replica), asked: asked,
	}
}

// send sends a message, behind frames that go before it.
func (t *talk) send(before, body []byte) error {
	t.stream.SetWriteDeadline(time.Now().Add(frameTime))
	_, err := t.stream.Write(frame.Append(before, body))
	return err
}

func (t *talk) receive() (message, error) {
	t.stream.SetReadDeadline(time.Now().Add(frameTime))
	body, err := t.in.Next()
	if err != nil {
		return message{}, err
	}
	m, err := scanMessage(body, t.d.now().count)
	for i := 0; err == nil && i < len(m.proofs); i++ {
		err = t.d.check(m.proofs[i])
	}
	if err != nil {
		return m, t.bad(err)
	}
	return m, nil
}

// bad notes what no honest peer sends.
func (t *talk) bad(err error) error {
	t.d.reject(t.peer, err)
	return err
}

// run goes on until both are level.
func (t *talk) run() error {
	for !t.done {
		if err := t.turn(); err != nil {
			return err
		}
	}
	return nil
}

// turn takes what the other end sends until that waits for an answer, and answers.
// Records are read and proven while those before them are applied.
func (t *talk) turn() error {
	ahead := make(chan message, 2)
	stop := make(chan struct{})
	var failed error
	go func() {
		defer close(ahead)
		for more := true; more; {
			m, err := t.receive()
			if err != nil {
				failed = err
				return
			}
			select {
			case ahead <- m:
			case <-stop:
				return
			}
			more = m.proofs != nil
		}
	}()
	for m := range ahead {
		if err := t.take(m); err != nil {
			close(stop)
			t.stream.Reset()
			for range ahead {
			}
			return err
		}
	}
	if errors.Is(failed, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return failed
}

func (t *talk) take(m message) error {
	switch {
	case m.busy && t.asked:
		return errBusy
	case m.refused != nil && t.asked:
		return &RefusedError{t.peer.String(), t.d.rules.params().duration(), m.refused.duration()}
	case m.busy || m.refused != nil || m.params != nil || m.ask != nil || m.have:
		return t.bad(errReconcile)
	}
	return t.step(m)
}

// step takes a message and sends what is to be sent after it.
func (t *talk) step(m message) error {
	d := t.d
	d.mu.Lock()
	if failed := d.failed; failed != nil {
		d.mu.Unlock()
		return failed
	}
	now := d.now()
	if m.root != nil && !t.asked && d.isBusy(t.peer) && !t.session.equals(m) {
		d.mu.Unlock()
		if err := t.send(nil, (&message{busy: true}).append(nil)); err != nil {
			return err
		}
		return errBusy
	}
	next, err := t.session.receive(now, m)
	t.done = next.done
	d.named = d.named || next.done && err == nil
	if kept := d.keep(now, next.effects); kept != nil {
		err = kept
	}
	d.mu.Unlock()
	t.news = t.news || slices.ContainsFunc(next.changes, func(c change) bool {
		return c.new == nil || c.new.age(now) > inFlight
	})
	if errors.Is(err, errReconcile) {
		return t.bad(err)
	}
	if err != nil {
		return err
	}
	if m.proofs != nil {
		return t.brought(m, next.effects)
	}
	for len(next.records) > 0 {
		var body []byte
		d.mu.RLock()
		body, next.records = appendChunk(next.records, d.now().count)
		d.mu.RUnlock()
		if body == nil {
			break
		}
		if err := t.send(nil, body); err != nil {
			return err
		}
	}
	if next.reply == nil {
		return nil
	}
	return t.send(nil, next.reply.append(nil))
}

// brought notes that records came.
func (t *talk) brought(m message, out effects) error {
	if len(out.changes) == 0 {
		for _, b := range m.proofs {
			for _, e := range b.records() {
				if e != nil {
					t.useless += e.size()
				}
			}
		}
		if t.useless > maxUseless {
			return t.bad(fmt.Errorf("%w: it sends what is known, again and again", errReconcile))
		}
	}
	if t.asked {
		t.d.levelMu.Lock()
		t.d.levels.receive(time.Now())
		t.d.levelMu.Unlock()
	}
	return nil
}
