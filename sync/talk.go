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
	"github.com/p2p-today/go2p/sync/internal/replica"
)

// A talk is one end of a session on a stream.
type talk struct {
	d       *Dict
	stream  network.Stream
	peer    peer.ID
	in      *frame.Reader
	session *replica.Reconciliation
	asked   bool // by this end
	news    bool // something has changed here
	useless int  // bytes
	done    bool // both are level
}

func (d *Dict) newTalk(s network.Stream, asked bool) *talk {
	return &talk{
		d: d, stream: s, peer: s.Conn().RemotePeer(), in: frame.NewReader(s, maxFrame),
		session: replica.NewReconciliation(d.replica), asked: asked,
	}
}

// send sends a message, behind frames that go before it.
func (t *talk) send(before, body []byte) error {
	t.stream.SetWriteDeadline(time.Now().Add(frameTime))
	_, err := t.stream.Write(frame.Append(before, body))
	return err
}

func (t *talk) receive() (replica.Message, error) {
	t.stream.SetReadDeadline(time.Now().Add(frameTime))
	body, err := t.in.Next()
	if err != nil {
		return replica.Message{}, err
	}
	m, err := replica.ParseMessage(body, t.d.now().Count)
	for i := 0; err == nil && i < len(m.Proofs); i++ {
		err = t.d.check(m.Proofs[i])
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
	ahead := make(chan replica.Message, 2)
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
			more = m.Proofs != nil
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

func (t *talk) take(m replica.Message) error {
	switch {
	case m.Busy && t.asked:
		return errBusy
	case m.Refused != nil && t.asked:
		return &RefusedError{Peer: t.peer.String(), Mine: t.d.rules.Params().Duration(), Theirs: m.Refused.Duration()}
	case m.Busy || m.Refused != nil || m.Params != nil || m.Ask != nil || m.Have:
		return t.bad(replica.ErrReconcile)
	}
	return t.step(m)
}

// step takes a message and sends what is to be sent after it.
func (t *talk) step(m replica.Message) error {
	d := t.d
	d.mu.Lock()
	if failed := d.failed; failed != nil {
		d.mu.Unlock()
		return failed
	}
	now := d.now()
	if m.Root != nil && !t.asked && d.isBusy(t.peer) && !t.session.Equals(m) {
		d.mu.Unlock()
		if err := t.send(nil, (&replica.Message{Busy: true}).Append(nil)); err != nil {
			return err
		}
		return errBusy
	}
	next, err := t.session.Receive(now, m)
	t.done = next.Done
	d.named = d.named || next.Done && err == nil
	if kept := d.keep(now, next.Effects); kept != nil {
		err = kept
	}
	d.mu.Unlock()
	t.news = t.news || slices.ContainsFunc(next.Changes, func(c replica.Change) bool {
		return c.New == nil || c.New.Age(now) > inFlight
	})
	if errors.Is(err, replica.ErrReconcile) {
		return t.bad(err)
	}
	if err != nil {
		return err
	}
	if m.Proofs != nil {
		return t.brought(m, next.Effects)
	}
	for len(next.Records) > 0 {
		var body []byte
		d.mu.RLock()
		body, next.Records = replica.AppendChunk(next.Records, d.now().Count)
		d.mu.RUnlock()
		if body == nil {
			break
		}
		if err := t.send(nil, body); err != nil {
			return err
		}
	}
	if next.Reply == nil {
		return nil
	}
	return t.send(nil, next.Reply.Append(nil))
}

// brought notes that records came.
func (t *talk) brought(m replica.Message, out replica.Effects) error {
	if len(out.Changes) == 0 {
		for _, b := range m.Proofs {
			for _, e := range b.Records() {
				if e != nil {
					t.useless += e.Size()
				}
			}
		}
		if t.useless > maxUseless {
			return t.bad(fmt.Errorf("%w: it sends what is known, again and again", replica.ErrReconcile))
		}
	}
	if t.asked {
		t.d.levelMu.Lock()
		t.d.levels.Received(time.Now())
		t.d.levelMu.Unlock()
	}
	return nil
}
