package sync

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"

	"github.com/p2p-today/go2p/internal/frame"
	"github.com/p2p-today/go2p/sync/internal/replica"
)

// A session is one end of a reconciliation over a stream. The goroutine that runs it owns
// it; another one reads ahead during a turn.
type session struct {
	*messageStream
	pipeline *commitPipeline
	rec      *replica.Reconciliation
	mine     replica.Params
	asked    bool        // by this end
	busy     func() bool // asked by the other end: whether it is to come back later
	brought  func()      // asked by this end: records came

	done    bool // both are in sync
	news    bool // something has changed here of which neighbours do not hear by themselves
	useless int  // bytes of records that brought nothing
}

func newSession(s *messageStream, p *commitPipeline) *session {
	return &session{
		messageStream: s, pipeline: p, rec: replica.NewReconciliation(p.replica), mine: p.replica.Params(),
		busy: func() bool { return false }, brought: func() {},
	}
}

// ask begins the session, and runs it to its end.
func (s *session) ask() error {
	s.asked = true
	var salt [replica.SaltLength]byte
	rand.Read(salt[:])
	root := s.pipeline.start(s.rec, salt[:])
	first := frame.Append(nil, (&replica.Message{Params: &s.mine}).Append(nil))
	if err := s.send(first, root.Append(nil)); err != nil {
		return err
	}
	return s.run()
}

// run goes on until both are in sync.
func (s *session) run() error {
	for !s.done {
		if err := s.turn(); err != nil {
			return err
		}
	}
	return nil
}

// turn takes what the other end sends until that waits for an answer, and answers.
// Records are read and verified while those before them are applied.
func (s *session) turn() error {
	ahead := make(chan replica.Message, 2)
	stop := make(chan struct{})
	var failed error
	go func() {
		defer close(ahead)
		for more := true; more; {
			m, err := s.receive(frameTime)
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
		if err := s.take(m); err != nil {
			close(stop)
			s.Reset()
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

// take takes a message of the other end.
func (s *session) take(m replica.Message) error {
	switch {
	case m.Busy && s.asked:
		return errBusy
	case m.Refused != nil && s.asked:
		return &RefusedError{Peer: s.peer().String(), Mine: s.mine.Duration(), Theirs: m.Refused.Duration()}
	case m.Busy || m.Refused != nil || m.Params != nil || m.Ask != nil || m.Have:
		return s.violation(replica.ErrReconcile)
	}
	return s.step(m)
}

// step takes a message of the reconciliation, and sends what is to be sent after it.
func (s *session) step(m replica.Message) error {
	next, err := s.pipeline.reconcile(s.rec, m, s.busy)
	s.done, s.news = next.Done, s.news || next.News
	switch {
	case errors.Is(err, errBusy):
		if err := s.send(nil, (&replica.Message{Busy: true}).Append(nil)); err != nil {
			return err
		}
		return errBusy
	case errors.Is(err, replica.ErrReconcile):
		return s.violation(err)
	case err != nil:
		return err
	case m.Proofs != nil:
		return s.count(m, next)
	}
	for len(next.Records) > 0 {
		var body []byte
		if body, next.Records = s.pipeline.appendChunk(next.Records); body == nil {
			break
		}
		if err := s.send(nil, body); err != nil {
			return err
		}
	}
	if next.Reply == nil {
		return nil
	}
	return s.send(nil, next.Reply.Append(nil))
}

// count notes that records came.
func (s *session) count(m replica.Message, next replica.Step) error {
	if len(next.Changes) == 0 {
		if s.useless += m.RecordBytes(); s.useless > maxUseless {
			return s.violation(fmt.Errorf("%w: it sends what is known, again and again", replica.ErrReconcile))
		}
	}
	s.brought()
	return nil
}
